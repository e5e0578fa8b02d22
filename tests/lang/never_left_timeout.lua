-- A time limit that lacks its <close> is reported, at the end at last.

local limit = asyncio.timeout(0.01)
await asyncio.sleep(5)

--!> never_left_timeout.lua:4: the task was cancelled
--!> a timeout scope was never left: write local t <close> = asyncio.timeout(
--status 1
