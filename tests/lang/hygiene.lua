-- The keywords need no name that a program can see or take away.

local print, tostring, load, pcall = print, tostring, load, pcall
local asyncio, setmetatable = asyncio, setmetatable
local async function one(x) await asyncio.sleep(0) return x end

-- under an empty _ENV, and one that refuses every access
do
  local _ENV = {}
  print(await one(1))  --> 1
  local async function inner(x) return await one(x) end
  print(await inner(2))  --> 2
  local object = {m = inner}
  async function object:n(x) return await inner(x) end
  print(await object.m(3), await object:n(4))  --> 3 4
  async function global(x) return x end
  print(await global(5), global ~= nil)  --> 5 true
end
do
  local _ENV <const> = setmetatable({}, {
    __index = function(_, key) print("read " .. key) end,
    __newindex = function(_, key) print("write " .. key) end,
  })
  print(await one(6))  --> 6
  async function lost() end  --> write lost
  local _ = found  --> read found
end
do
  local function f(_ENV) return await one(x) end
  print(f {x = 7})  --> 7
  local _ENV = nil
  print(await one(8))  --> 8
end

-- with locals and upvalues of the same or a suspicious spelling
do
  local await, async = "a", "b"
  print(await one(await), await one(async), await, async)  --> a b a b
  local async function f(await, async) return await one(async), await end
  print(await f(1, 2))  --> 2 1
  local function g() return await one(await), async end
  print(g())  --> a b
end
do
  local __call, __await, __method, __async, __nil = 1, 2, 3, 4, 5
  local t = {one = async function(_, x) return x end}
  print(await one(__call), await t:one(__await), await t.one(t, __method))
  --> 1 2 3
  local async function f() return __async, __nil end
  print(await f())  --> 4 5
  local c = one(9)
  print(await c)  --> 9
end
do
  local _ENV = {__call = 1, __call1 = 2, _ = 3, __await = 4}
  print(await one(__call), __call1, _, __await)  --> 1 2 3 4
  __async = 5
  print(await one(__async), _ENV.__async)  --> 5 5
end

-- with the globals and the library replaced
do
  local saved = {await = _G.await, async = _G.async, asyncio = _G.asyncio}
  _G.await, _G.async, _G.asyncio = nil, nil, nil
  print(await one(10))  --> 10
  local async function f() return 11 end
  print(await f())  --> 11
  _G.await = function(x) return "mine", x end
  print(await (12))  --> mine 12
  print(await one(13))  --> 13
  for name, value in next, saved do _G[name] = value end
end
do
  local coroutine_, pcall_ = coroutine, _G.pcall
  coroutine, _G.pcall = nil, nil
  print(await one(14))  --> 14
  coroutine, _G.pcall = coroutine_, pcall_
end

-- in chunks with an environment of their own
print(load("return await one(15)", "=x", "t", {one = one})())  --> 15
print(load("async function f() return 17 end return await f()", "=x", "t",
  {})())  --> 17
local env = {one = one}
load("async function f(x) return await one(x) end", "=x", "t", env)()
print(await env.f(18), rawget(_G, "f"))  --> 18 nil
local chunk = load "local one = ... return await one(19), _ENV == _G"
print(chunk(one))  --> 19 true

-- nothing is left among the globals, and the first upvalue is _ENV
print(_G.__call, _G.__await, _G.__async)  --> nil nil nil
local f = load "x_ = 1 return await y_"
print((debug.getupvalue(f, 1)))  --> _ENV
debug.setupvalue(f, 1, {y_ = one(20)})
print(f())  --> 20
