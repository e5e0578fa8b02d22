-- A group ends where no line is the script's when an error has ended its body:
-- its place is that of the error.

local async function fails()
  local group <close> = asyncio.TaskGroup()
  group:create_task((async function() error "a task" end)())
  await asyncio.sleep(100)
end
local ok, e = pcall(await, asyncio.create_task(fails()))
print(ok, e)
--> false tests/lang/uncaught_group_body.lua:7: 1 error in a TaskGroup
print(e.traceback)
--> stack traceback:
--> 	tests/lang/uncaught_group_body.lua:7: in the body of the TaskGroup

local group <close> = asyncio.TaskGroup()
error "the body"

--!> neap: tests/lang/uncaught_group_body.lua:17: 1 error in a TaskGroup
--!> 1: tests/lang/uncaught_group_body.lua:17: the body
--!> stack traceback:
--!> tests/lang/uncaught_group_body.lua:17: in the body of the TaskGroup
--status 1
