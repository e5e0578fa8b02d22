--[[
wait gives two lists: the tasks that are done and those that are not. It
raises nobody's error and cancels nobody; with return_when it comes back at
the first result, or at the first failure.
]]

local async function mirror(name, seconds, fails)
  await asyncio.sleep(seconds)
  if fails then error(asyncio.Error.new(name .. " is down")) end
  return name
end

local function start(list)
  local tasks = {}
  for i, m in ipairs(list) do
    tasks[i] = asyncio.create_task(mirror(table.unpack(m)))
  end
  return tasks
end

-- The fastest of three; the others are not needed any more.
local tasks = start {{"slow", 10}, {"quick", 0.01}, {"slower", 20}}
local done, pending = await asyncio.wait(tasks,
  {return_when = "FIRST_COMPLETED"})
print(done[1]:result() .. " was first, " .. #pending .. " were not")
for _, task in ipairs(pending) do task:cancel() end
await asyncio.wait(pending)

--> quick was first, 2 were not

-- Until something breaks.
tasks = start {{"a", 0.01}, {"b", 0.03, true}, {"c", 10}}
done, pending = await asyncio.wait(tasks, {return_when = "FIRST_EXCEPTION"})
print(#done .. " done, " .. #pending .. " pending")
for _, task in ipairs(done) do
  local err = task:exception()
  print(err and err.message or "fine: " .. task:result())
end
pending[1]:cancel()
await asyncio.wait(pending)

--> 2 done, 1 pending
--> fine: a
--> b is down

-- All of them.
done, pending = await asyncio.wait(start {{"x", 0.02}, {"y", 0.01}})
print(#done .. " done, " .. #pending .. " pending")  --> 2 done, 0 pending
