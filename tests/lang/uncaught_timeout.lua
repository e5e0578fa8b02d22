-- A time limit that nothing catches tells the line that waited.

local async function nap()
  local _ <close> = asyncio.timeout(0)
  await asyncio.sleep(100)
end

local task = asyncio.create_task(nap())
local _, e = pcall(await, task)
print(e)              --> tests/lang/uncaught_timeout.lua:5: timed out
print(e.traceback)
--> stack traceback:
--> 	tests/lang/uncaught_timeout.lua:5: in the await that was given up
print(select(2, pcall(function() await nap() end)))
--> tests/lang/uncaught_timeout.lua:14: timed out

local future = asyncio.Future()
await asyncio.wait_for(future, 0.001)

--!> tests/lang/uncaught_timeout.lua:18: timed out
--!> stack traceback:
--!> tests/lang/uncaught_timeout.lua:18: in the await that was given up
--status 1
