-- debug.traceback is Lua's, without what lies between a call and its await.

local M = {}
function M.plain() print(debug.traceback("here")) return asyncio.sleep(0) end
local function waits() await M.plain() end

waits()
--> here
--> stack traceback:
--> 	tests/lang/debug_traceback.lua:4: in upvalue 'f'
--> 	tests/lang/debug_traceback.lua:5: in local 'waits'
--> 	tests/lang/debug_traceback.lua:7: in function <tests/lang/debug_traceback.lua:1>
--> 	[C]: in ?
print(debug.traceback(waits) == waits)  --> true
