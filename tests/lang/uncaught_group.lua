-- The report of an uncaught group names every error in it.

local async function fails(text)
  await asyncio.sleep(0)
  error(asyncio.Error.new(text))
end

do
  local tg <close> = asyncio.TaskGroup()
  tg:create_task(fails "first")
  tg:create_task(fails "second")
end

--!> neap: tests/lang/uncaught_group.lua:
--!> tests/lang/uncaught_group.lua:5: first
--!> tests/lang/uncaught_group.lua:5: second
--status 1
