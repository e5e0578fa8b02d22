-- Calling an async function runs nothing: it makes a coroutine object.

local ran = 0
local async function fetch(x)
  ran = ran + 1
  return x
end

local c = fetch(1)
print(ran, tostring(c))
--> 0 coroutine object fetch (tests/lang/coroutine_objects.lua:9)
print(asyncio.iscoroutine(c), asyncio.iscoroutine(fetch), type(c))
--> true false userdata
print(asyncio.iscoroutine(nil), asyncio.isfuture(c))  --> false false
print(await c, ran)  --> 1 1

-- names
local M = {}
async function M.get() end
async function M:set() end
local named = async function() end
local function show(object)
  print((tostring(object):gsub(" %(.*", "")))
  await object
end
show(M.get())  --> coroutine object M.get
show(M:set())  --> coroutine object M:set
show(named())  --> coroutine object named

-- it can be awaited once
local ok, err = pcall(function() return await c end)
print(ok, tostring(err):match "await" ~= nil)  --> false true
c = fetch(2)
local task = asyncio.create_task(c)
print((pcall(function() return await c end)))  --> false
print((pcall(asyncio.create_task, c)))  --> false
print(await task)  --> 2

-- using one as if it were the result asks about the await
local function asks(f, ...)
  local object = fetch(3)
  local fine, message = pcall(f, object, ...)
  local what = tostring(message):match "did you forget await%?"
  print(fine, what or message)
  await object
end
asks(function(o) return o.field end)     --> false did you forget await?
asks(function(o) o.field = 1 end)        --> false did you forget await?
asks(function(o) return o[1] end)        --> false did you forget await?
asks(function(o) return o() end)         --> false did you forget await?
asks(function(o) return o < 1 end)       --> false did you forget await?
asks(function(o) return o <= o end)      --> false did you forget await?
asks(function(o) return o + 1 end)       --> false did you forget await?
asks(function(o) return 1 .. o end)      --> false did you forget await?
asks(function(o) return #o end)          --> false did you forget await?
asks(function(o) return -o end)          --> false did you forget await?
asks(function(o) for _ in o do end end)  --> false did you forget await?

-- what is no awaitable says so
local function refused(v)
  print(select(2, pcall(function() return await v end)))
end
refused(5)
--> tests/lang/coroutine_objects.lua:61: attempt to await a number value
refused "s"
--> tests/lang/coroutine_objects.lua:61: attempt to await a string value
refused(nil)
--> tests/lang/coroutine_objects.lua:61: attempt to await a nil value
refused {}
--> tests/lang/coroutine_objects.lua:61: attempt to await a table value
refused(print)
--> tests/lang/coroutine_objects.lua:61: attempt to await a function value: call the function
local function number() return 5 end
print(select(2, pcall(function() return await number() end)))
--> tests/lang/coroutine_objects.lua:74: attempt to await a number value
print(select(2, pcall(function() await number() end)))
--> tests/lang/coroutine_objects.lua:76: attempt to await a number value

-- a callee that is none is told as Lua tells it
local t = {}
local function complains(f)
  local message = select(2, pcall(f))
  print(message:match ":%d+: (.*)" or message)
end
complains(function() await nosuch() end)
--> attempt to call a nil value (global 'nosuch')
nosuch = false
complains(function() await nosuch() end)
--> attempt to call a boolean value (global 'nosuch')
nosuch = nil
local upvalue = false
complains(function() await upvalue() end)
--> attempt to call a boolean value (upvalue 'upvalue')
complains(function() local f = print local f = false await f() end)
--> attempt to call a boolean value (local 'f')
complains(function() local _ENV = {x = false} await x() end)
--> attempt to call a boolean value (global 'x')
complains(function() local _ENV = {} await x() end)
--> attempt to call a nil value (global 'x')
complains(function() await t.nosuch() end)
--> attempt to call a nil value (field 'nosuch')
complains(function() await t:nosuch() end)
--> attempt to call a nil value (method 'nosuch')
complains(function() await nosuch.field() end)
--> attempt to index a nil value (global 'nosuch')
complains(function() await t.a.b() end)
--> attempt to index a nil value (field 'a')
complains(function() local n = 5 await n.x() end)
--> attempt to index a number value (local 'n')

-- what awaits itself would do so for ever
local itself = setmetatable({}, {__await = function(self) return self end,
  __eq = function() error "compared" end})
complains(function() await itself end)
--> metamethod 'await' returned its own object
local twin = setmetatable({}, {__await = function() return 5 end,
  __eq = function() error "compared" end})
getmetatable(itself).__await = function() return twin end
complains(function() await itself end)
--> attempt to await a number value

-- callable values can be awaited like functions, and any value with __await
local callable = setmetatable({}, {__call = function(_, x) return fetch(x) end})
print(await callable(7))  --> 7
local lazy = setmetatable({}, {__await = function() return fetch(8) end})
print(await lazy)  --> 8
print(await ((function() return lazy end)()))  --> 8

-- made by a C function that calls, one names the nearest line of the script
local _, by_pcall = pcall(fetch, 9)
print(by_pcall)
--> coroutine object fetch (tests/lang/coroutine_objects.lua:130)
print(await by_pcall)  --> 9
local by_sort
pcall(table.sort, {2, 1}, function(...) by_sort = fetch(...) return false end)
print(by_sort, await by_sort)
--> coroutine object fetch (tests/lang/coroutine_objects.lua:135) 1

-- the functions of the library go by their bare names
local _, sleep = pcall(asyncio.sleep, 0)
print(sleep)  --> coroutine object sleep (tests/lang/coroutine_objects.lua:140)
await sleep
local limited = asyncio.wait_for(fetch(1), 1)
print(limited)
--> coroutine object wait_for (tests/lang/coroutine_objects.lua:143)
await limited

-- an async function in the place of its call is told to be called
local function told(f, ...)
  print((select(2, pcall(f, ...)):match ":%d+: (.*)"))
end
told(asyncio.create_task, fetch)
--> create_task needs an awaitable, not a function value: call the function
told(asyncio.shield, fetch)
--> shield needs an awaitable, not a function value: call the function

print(select(2, pcall(await, io.stdout)):match "attempt.*")
--> attempt to await a FILE* value
print(select(2, pcall(await, asyncio.Lock())):match "attempt.*")
--> attempt to await a Lock value
asks(function(o) for _ in pairs(o) do end end)  --> false did you forget await?
