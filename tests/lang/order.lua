-- Objects, callees and arguments are evaluated once, in Lua's order.

local log = {}
local function note(name, value)
  log[#log + 1] = name
  return value
end
local function told()
  local text = table.concat(log, " ")
  log = {}
  return text
end

local async function f(...) note "call" return ... end
local object = setmetatable({}, {__index = function(_, key)
  note("index " .. key)
  return f
end})

await note("f", f)(note("a", 1), note("b", 2))
print(told())  --> f a b call
await object.key(note("a", 1))
print(told())  --> index key a call
await object:key(note("a", 1))
print(told())  --> index key a call
-- (only the method of an object that is more than a name is looked up when
-- the arguments are there)
await note("o", object):key(note("a", 1))
print(told())  --> o a index key call
await note("o", object)[note("k", "key")](note "a")
print(told())  --> o k index key a call
local holder = {object = object}
await holder.object:key(note "a")
print(told())  --> a index key call
print(select("#", await f(note "a", note "b", note "c")), told())
--> 3 a b c call

-- the object is the one that was named, though an argument changes the name
local q = {name = "first", get = f}
local first = q
local function change() q = {name = "second"} return 1 end
print((await q:get(change())) == first, q.name)  --> true second
local g = f
local async function other() return "other" end
local function swap() g = other return 1 end
print(await g(swap()), told())  --> 1 call call

print(await f(1) + await f(2), told())  --> 3 call call
