-- A coroutine object that is thrown away is told of, by name and line.

local async function lost() print "never" end
local M = {}
async function M.field() end

lost()
M.field()
local kept = lost()
print(tostring(kept))
--> coroutine object lost (tests/lang/never_awaited.lua:9)
kept = nil
collectgarbage()
await asyncio.sleep(0.001)
io.stderr:write "collected\n"
local last = lost()
print "end"  --> end

--!> coroutine object M.field (tests/lang/never_awaited.lua:8)
--!> collected
--!> coroutine object lost (tests/lang/never_awaited.lua:16) was never awaited
