-- An ordinary pcall does not swallow a task's own cancellation.

local async function stubborn(name, f)
  local _ <close> = asyncio.defer(function() print(name .. " cleaned") end)
  f()
  print(name .. " swallowed it")
end

local function nap() await asyncio.sleep(100) end

for _, way in ipairs {
  {"pcall", function() while true do pcall(nap) end end},
  {"xpcall", function() xpcall(nap, print) end},
  {"resume", function() coroutine.resume(coroutine.create(nap)) end},
  {"wrap", function() pcall(coroutine.wrap(nap)) end},
  {"close", function()
    local co = coroutine.create(function()
      local _ <close> = asyncio.defer(nap)
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)
  end},
} do
  local task = asyncio.create_task(stubborn(table.unpack(way)))
  await asyncio.sleep(0)
  task:cancel()
  await asyncio.wait {task}
  print(task:cancelled())
end
--> pcall cleaned
--> true
--> xpcall cleaned
--> true
--> resume cleaned
--> true
--> wrap cleaned
--> true
--> close cleaned
--> true

-- another task's cancellation, and every other error, is caught
local other = asyncio.create_task((async function() nap() end)())
other:cancel()
local ok, err = pcall(function() await other end)
print(ok, asyncio.iserror(err, asyncio.CancelledError))  --> false true
print(pcall(error, "ordinary", 0))  --> false ordinary
