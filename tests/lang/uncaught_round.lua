-- Errors that lead round to themselves are told to a depth, and classes that
-- do are no parents.

local Round = asyncio.Error:extend "Round"
local new = Round.new
setmetatable(Round, {__index = Round})
print(asyncio.iserror(new "x"), asyncio.iserror(new "x", asyncio.OSError))
--> true false

local group = asyncio.ExceptionGroup.new "many"
group.errors = {}
for i = 1, 300 do group.errors[i] = group end
error(asyncio.Error.new("top", {cause = group}))

--!> neap: tests/lang/uncaught_round.lua:13: top
--!> caused by tests/lang/uncaught_round.lua:10: many
--!> 1: tests/lang/uncaught_round.lua:10: many
--!> 2: tests/lang/uncaught_round.lua:10: many
--!> ... (300 more)
--status 1
