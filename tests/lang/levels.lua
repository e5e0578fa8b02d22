-- Positions of errors count the script's functions alone: what lies between
-- an await and the function that it calls is no level.

local async function async_fails(level) error("async", level) end
local function fails(level) error("plain", level) end
local t = {m = {}, number = 5, off = false}
function t.m.fails(_, level) error("method", level) end
async function t.m.async_fails(_, level) error("async method", level) end
local object = setmetatable({}, {
  __index = function() error("index", 2) end,
  __call = function() error("call", 2) end,
  __await = function() error("await", 2) end,
})
t.object = object

local function says(f, ...)
  print((select(2, pcall(f, ...)):gsub("tests/lang/", "")))
end

says(function() await async_fails(2) end)     --> levels.lua:20: async
says(function() await fails(2) end)           --> levels.lua:21: plain
says(function() await fails(1) end)           --> levels.lua:5: plain
says(function() local m = t.m await m:fails(2) end) --> levels.lua:23: method
says(function() await t.m:fails(2) end)       --> levels.lua:24: method
says(function() await t.m:async_fails(2) end) --> levels.lua:25: async method
says(function() await object:get() end)       --> levels.lua:26: index
says(function() await t.object:get() end)     --> levels.lua:27: index
says(function() await object() end)           --> levels.lua:28: call
says(function() await t.object() end)         --> levels.lua:29: call
says(function() await object end)             --> levels.lua:30: await
says(function() await t.object end)           --> levels.lua:31: await
says(function() await (object) end)           --> levels.lua:32: await
says(function() await error "here" end)       --> levels.lua:33: here
says(function() await error("above", 2) end)  --> above
local function asks() await error("above", 2) end
says(function() asks() end)                   --> levels.lua:36: above
says(function() error("far", 1 << 30) end)    --> far

-- a Lua half of neap's is nobody's line
says(function() await asyncio.wait_for(async_fails(2), 1) end)
--> levels.lua:40: async

-- what C functions say of their arguments names them, not a line of neap's
says(function() await string.rep() end)
--> bad argument #1 to 'string.rep' (string expected, got no value)
says(function() await coroutine.wrap(function() error "in it" end)() end)
--> levels.lua:46: in it
local uncallable = setmetatable({}, {__await = 5})
says(function() await uncallable end)
--> levels.lua:49: attempt to call a number value (metamethod 'await')
print(await (setmetatable({}, {__await = function() await asyncio.sleep(0)
  return asyncio.sleep(0, "called") end})))  --> called

-- an object without methods is told of as Lua does
says(function() await t.none:get() end)
--> levels.lua:55: attempt to index a nil value (field 'none')
says(function() await t["none"]:get() end)
--> levels.lua:57: attempt to index a nil value
says(function() await t.number:get() end)
--> levels.lua:59: attempt to index a number value
says(function() await t.m:none() end)
--> levels.lua:61: attempt to call a nil value (method 'none')
says(function() await t.m.none:get() end)
--> levels.lua:63: attempt to index a nil value (field 'none')
debug.setmetatable(5, {__index = {double = function(n) return
  asyncio.sleep(0, n * 2) end}})
print(await t.number:double())  --> 10

-- and what the words become is in no traceback
local function lines(f)
  local _, text = xpcall(f, debug.traceback)
  print((text:match "stack traceback:\n\t([^\n]*)":gsub("^tests/lang/", "")))
end
lines(function() await nosuch() end)
--> levels.lua:74: in function <tests/lang/levels.lua:74>
lines(function() await t.number() end)
--> levels.lua:76: in function <tests/lang/levels.lua:76>
lines(function() await t.number:get() end)
--> levels.lua:78: in function <tests/lang/levels.lua:78>
local used = async_fails(1)
pcall(await, used)
lines(function() used() end)
--> levels.lua:82: in function <tests/lang/levels.lua:82>
