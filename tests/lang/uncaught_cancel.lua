-- The cancellation of a task that the main chunk awaits is told with the
-- lines that waited for it.

local async function nap() await asyncio.sleep(1000) end
local inner = asyncio.create_task(nap())
local async function waits() await inner end
local outer = asyncio.create_task(waits())
await asyncio.sleep(0)
inner:cancel "no more"
await outer

--!> uncaught_cancel.lua:4: no more
--!> stack traceback:
--!> uncaught_cancel.lua:6: in async function 'waits'
--!> awaited at tests/lang/uncaught_cancel.lua:10
--!> spawned at tests/lang/uncaught_cancel.lua:7
--status 1
