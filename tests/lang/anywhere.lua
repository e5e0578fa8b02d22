-- await works in every function that a task is running.

local async function later(...)
  await asyncio.sleep(0)
  return ...
end

-- callbacks
local function map(list, f)
  local result = {}
  for i, item in ipairs(list) do result[i] = f(item) end
  return result
end
print(table.unpack(map({1, 2, 3}, function(x) return await later(x * x) end)))
--> 1 4 9

-- pcall, xpcall, select, and error handlers' functions
print(pcall(function(...) return await later(...) end, 1, nil, 3))
--> true 1 nil 3
print(pcall(function() await later() error("caught", 0) end))  --> false caught
print(xpcall(function(x) return await later(x) end, print, 4))  --> true 4
print(xpcall(function() await later() error("seen", 0) end, string.upper))
--> false SEEN

-- iterators
local function upto(n)
  return function(_, i)
    if i < n then return await later(i + 1) end
  end, nil, 0
end
for i in upto(3) do io.write(i, i < 3 and " " or "\n") end  --> 1 2 3

-- generators: an await parks the task, not the generator
local function squares(n)
  return coroutine.wrap(function()
    for i = 1, n do coroutine.yield(await later(i * i)) end
  end)
end
local list = {}
for x in squares(4) do list[#list + 1] = x end
print(table.concat(list, " "))  --> 1 4 9 16
local co = coroutine.create(function(a)
  local b = coroutine.yield(await later(a))
  local c = coroutine.yield(await later(b))
  return await later(c)
end)
print(coroutine.resume(co, 1))  --> true 1
print(coroutine.resume(co, 2))  --> true 2
print(coroutine.resume(co, nil))  --> true nil
print(coroutine.status(co), coroutine.resume(co))
--> dead false cannot resume dead coroutine
local nested = coroutine.wrap(function()
  for x in squares(3) do coroutine.yield(await later(-x)) end
end)
print(nested(), nested(), nested())  --> -1 -4 -9
local failing = coroutine.create(function()
  await later()
  error("inside", 0)
end)
print(coroutine.resume(failing))  --> false inside
print(coroutine.status(failing))  --> dead

-- a generator begun in one task and gone on with in another
local shared = squares(3)
local first = shared()
local task = asyncio.create_task((async function() return shared() end)())
print(first, await task, shared())  --> 1 4 9

-- metamethods
local mt = {}
for _, name in ipairs {"add", "concat", "unm", "len", "eq", "lt", "le",
    "index", "call"} do
  mt["__" .. name] = function() return await later(name) end
end
local a, b = setmetatable({}, mt), setmetatable({}, mt)
print(a + 1, 1 .. a, -a, #a, a.x, a())  --> add concat unm len index call
print(a == b, a < b, a <= b, a > b)  --> true true true true
mt.__newindex = function(t, k, v) rawset(t, k, await later(v)) end
a.y = 5
print(rawget(a, "y"))  --> 5
mt.__index = function(_, k) return await later(k .. "!") end
print(a.hello, a[1])  --> hello! 1!
mt.__close = function() print("closed", await later("late")) end
do local _ <close> = a end  --> closed late
do
  local function returns()
    local _ <close> = a
    return await later("value")
  end
  print(returns())
  --> closed late
  --> value
end
print(pcall(function()
  local _ <close> = a
  error("passing", 0)
end))
--> closed late
--> false passing
for _ in upto(1), nil, 0, a do end  --> closed late

-- modules, while they are required
local slow = require "tests.lang.parts.slow"
print(slow.name, slow.inner, slow.args[1])  --> slow inner tests.lang.parts.slow
print(require "tests.lang.parts.slow" == slow)  --> true
local ok, err = pcall(require, "tests.lang.parts.bad")
print(ok, (tostring(err):match "bad.lua:3: no good"))
--> false bad.lua:3: no good
package.preload.made = function(name) return await later("made " .. name) end
print((require "made"))  --> made made

-- chunks
print(loadfile("tests/lang/parts/chunk.lua")(1, nil))  --> 3 1 nil
print(dofile "tests/lang/parts/chunk.lua")  --> 3
print(dofile "tests/lang/parts/shebang.lua")  --> 4
print(load "return await (...)" (later(6)))  --> 6

-- the deep end
local async function down(n)
  if n == 0 then await asyncio.sleep(0) return 0 end
  return 1 + await down(n - 1)
end
print(await down(1000))  --> 1000
