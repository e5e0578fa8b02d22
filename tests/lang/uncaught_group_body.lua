-- The group of a main chunk that fails ends where no line is the script's: its
-- error is told without one, and what it holds with theirs.

local group <close> = asyncio.TaskGroup()
error "the body"

--!> neap: 1 error in a TaskGroup
--!> 1: tests/lang/uncaught_group_body.lua:5: the body
--status 1
