-- debug.traceback is Lua's, without what lies between a call and its await.

local M = {}
function M.plain() print(debug.traceback("here")) return asyncio.sleep(0) end
async function M.waits() await M.plain() end
local function passes() return await M.waits() end

passes()
--> here
--> stack traceback:
--> 	tests/lang/debug_traceback.lua:4: in function <tests/lang/debug_traceback.lua:4>
--> 	tests/lang/debug_traceback.lua:5: in async function 'M.waits'
--> 	tests/lang/debug_traceback.lua:6: in local 'passes'
--> 	tests/lang/debug_traceback.lua:8: in main chunk
--> 	[C]: in ?
print(debug.traceback(passes) == passes)  --> true

-- Left out are as many as in Lua.
local async function deep(n)
  if n > 0 then await deep(n - 1) else print(debug.traceback(nil, 2)) end
end
await deep(30)
--> stack traceback:
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	...	(skipping 10 levels)
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:20: in async function 'deep'
--> 	tests/lang/debug_traceback.lua:22: in main chunk
--> 	[C]: in ?

-- Of a coroutine, while it awaits a function that is not async.
local co
local function inside() print(debug.traceback(co, "in it")) end
co = coroutine.create(function() await inside() end)
coroutine.resume(co)
--> in it
--> stack traceback:
--> 	tests/lang/debug_traceback.lua:49: in function <tests/lang/debug_traceback.lua:49>
--> 	tests/lang/debug_traceback.lua:50: in function <tests/lang/debug_traceback.lua:50>

-- functions of neap's modules go by the names that scripts have for them
local _, text = xpcall(asyncio.gather, debug.traceback, {}, 5)
print(text:match "%[C%]: in ([^\n]*)")  --> function 'asyncio.gather'
