--[[
A task group is a scope: its end waits for every task that was made in it, so
none outlives the block. One failure cancels the others, and all the errors
come out together as an ExceptionGroup.
]]

local async function work(name, seconds, fails)
  local _ <close> = asyncio.defer(function() print(name .. " ends") end)
  print(name .. " begins")
  await asyncio.sleep(seconds)
  if fails then error(asyncio.Error.new(name .. " broke")) end
  return name:upper()
end

local left, right
do
  local tg <close> = asyncio.TaskGroup()
  left = tg:create_task(work("left", 0.02))
  right = tg:create_task(work("right", 0.04))
  print "waiting"
end
print(left:result() .. " and " .. right:result())

--> waiting
--> left begins
--> right begins
--> left ends
--> right ends
--> LEFT and RIGHT

local ok, err = pcall(function()
  local tg <close> = asyncio.TaskGroup()
  tg:create_task(work("slow", 10))
  tg:create_task(work("hasty", 0.01, true))
  await asyncio.sleep(10)
  print "never reached: the body is cancelled too"
end)
print(ok, err.name)
for _, inner in ipairs(err.errors) do print(inner.message) end

--> slow begins
--> hasty begins
--> hasty ends
--> slow ends
--> false	ExceptionGroup
--> hasty broke

-- tg:cancel() ends the tasks of a group on purpose: no error comes of it.
do
  local tg <close> = asyncio.TaskGroup()
  tg:create_task(work("server", 10))
  await asyncio.sleep(0.01)
  print "enough"
  tg:cancel()
end
print "stopped"

--> server begins
--> enough
--> server ends
--> stopped

-- limit= runs a long list a few at a time.
local running, most = 0, 0
do
  local tg <close> = asyncio.TaskGroup{limit = 3}
  for _ = 1, 12 do
    tg:create_task((async function()
      running = running + 1
      most = math.max(most, running)
      await asyncio.sleep(0.005)
      running = running - 1
    end)())
  end
end
print(most .. " at once")  --> 3 at once
