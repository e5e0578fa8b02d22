-- An error that crosses tasks: who awaited it, and where it was spawned.

local async function inner()
  await asyncio.sleep(0)
  error "from the task"
end
local async function middle()
  local task = asyncio.create_task(inner())
  await asyncio.sleep(0)
  await task
end
local task = asyncio.create_task(middle())
await task

--!> neap: tests/lang/uncaught_task.lua:5: from the task
--!> tests/lang/uncaught_task.lua:5: in
--!> awaited at tests/lang/uncaught_task.lua:10
--!> awaited at tests/lang/uncaught_task.lua:13
--!> spawned at tests/lang/uncaught_task.lua:
--status 1
