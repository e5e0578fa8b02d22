--[[
A task runs beside the one that made it. It starts at the next turn of the
loop, when its maker awaits something, and its result can be awaited any
number of times.
]]

local async function say(text, seconds)
  await asyncio.sleep(seconds)
  print(text)
  return #text
end

local hello = asyncio.create_task(say("hello", 0.02), {name = "greeter"})
local bye = asyncio.create_task(say("goodbye", 0.3))
print "nothing has been said yet"  --> nothing has been said yet
print(hello:get_name())            --> greeter
print(hello:state())               --> pending

local length = await hello  --> hello
print(length)               --> 5
print(hello:state())        --> done
print(await hello)          --> 5

-- A callback is told when the task ends, in a turn of its own.
bye:add_done_callback(function(task) print("said: " .. task:result()) end)
await bye                   --> goodbye
await asyncio.sleep(0)      --> said: 7

-- A task that is still running when the main chunk ends is cancelled.
asyncio.create_task(say("never heard", 10))
