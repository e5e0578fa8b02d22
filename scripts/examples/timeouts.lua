--[[
A time limit in three ways: a scope around any number of awaits, wait_for
around one awaitable, and wait with a timeout, which lets the work go on.
]]

local async function eternity(name)
  local _ <close> = asyncio.defer(function() print(name .. " gave up") end)
  await asyncio.sleep(3600)
end

-- 1. A scope. What runs out of time is cancelled where it waits; at the end
-- of the scope that becomes a TimeoutError.
local ok, err = pcall(function()
  local limit <close> = asyncio.timeout(0.1)
  await asyncio.sleep(0.001)
  await eternity "scope"
end)
print(ok, err.name)

--> scope gave up
--> false	TimeoutError

-- The limit can be moved while the scope runs, and asked afterwards.
do
  local limit <close> = asyncio.timeout(0.02)
  limit:reschedule(asyncio.time() + 10)
  await asyncio.sleep(0.04)
  print(limit:expired())
end

--> false

-- 2. wait_for: the awaitable is cancelled when the time is over.
ok, err = pcall(await, asyncio.wait_for(eternity "wait_for", 0.02))
print(ok, err.name)
print(await asyncio.wait_for(asyncio.sleep(0.01, "in time"), 10))

--> wait_for gave up
--> false	TimeoutError
--> in time

-- 3. wait: nothing is raised and nothing is cancelled.
local task = asyncio.create_task(eternity "task")
local done, pending = await asyncio.wait({task}, {timeout = 0.02})
print(#done .. " done, " .. #pending .. " pending")
print(task:state())
task:cancel()
await asyncio.wait {task}

--> 0 done, 1 pending
--> pending
--> task gave up
