-- Line numbers never move, in any form of the two words.

local function line() return debug.getinfo(2, "l").currentline end
local async function at(x)
  await asyncio.sleep(0)
  return x
end

print(line())  --> 9
local t = {at = at}
function t:m(x) return at(x) end
print(await at(line()), await t.at(line()), await t:m(line()))  --> 12 12 12
local async function multi(
    a,
    b)
  return a, b, line()
end
print(await multi(
  line(),
  line()))  --> 19 20 16
print(line(), await t
  .at
  (line()), line())  --> 21 23 23
print(await
  (at(line())))  --> 25
local s = await t:m [[
a long
string
]]
print(line(), #s)  --> 30 14
async function t
  .late
  (x)
  return line() + x
end
print(await t.late(0), line())  --> 34 36
local f = async function
  ()
  return (line())
end
print(await f())  --> 39
print(line())  --> 42

-- errors carry the line that made them
local function where(f)
  local _, err = pcall(f)
  print(tostring(err))
end
where(function()
  await at(1)
  error "here"
end)  --> tests/lang/lines.lua:51: here
where(function()
  await at(1) error "same"
end)  --> tests/lang/lines.lua:54: same
where(function()
  local x = await at(nil) .. "s"
end)  --> tests/lang/lines.lua:57: attempt to concatenate a nil value

-- an async function tells where it was defined
local info = debug.getinfo(1, "S")
print(info.short_src)  --> tests/lang/lines.lua
print(tostring(at(1)):match "%((.*)%)")  --> tests/lang/lines.lua:63
--!> coroutine object at (tests/lang/lines.lua:63) was never awaited
