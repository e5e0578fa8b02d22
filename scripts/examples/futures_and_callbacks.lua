--[[
The floor under tasks: callbacks of the loop and futures. Programs seldom
need them; they are for joining other people's callbacks to await.
]]

local loop = asyncio.get_running_loop()

-- A future is a result to come, set by whoever has it.
local future = asyncio.Future()
loop:call_later(0.01, function() future:set_result "... world" end)
print "hello ..."    --> hello ...
print(await future)  --> ... world

-- Any function with a callback becomes awaitable that way.
local function ask_oracle(question, callback)
  loop:call_soon(callback, nil, "perhaps")
end

local async function ask(question)
  local answer = asyncio.Future()
  ask_oracle(question, function(err, text)
    if err then answer:set_exception(err) else answer:set_result(text) end
  end)
  return await answer
end

print(await ask "will it rain?")  --> perhaps

-- Callbacks run in the order of their times, and can be called off.
loop:call_later(0.03, print, "third")
loop:call_later(0.01, print, "first")
local never = loop:call_later(0.02, print, "never")
loop:call_at(loop:time() + 0.02, print, "second")
never:cancel()
await asyncio.sleep(0.06)

--> first
--> second
--> third

-- Something that repeats is a callback that calls itself later.
local ended = asyncio.Future()
local function every(seconds, times)
  print("left: " .. times)
  if times == 0 then return ended:set_result() end
  loop:call_later(seconds, every, seconds, times - 1)
end
every(0.005, 2)
await ended

--> left: 2
--> left: 1
--> left: 0
