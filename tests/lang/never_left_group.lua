-- A group that lacks its <close> is reported, at the end at last.

local group = asyncio.TaskGroup()
group:create_task(asyncio.sleep(5))

--!> a TaskGroup was never left: write local tg <close> = asyncio.TaskGroup()
