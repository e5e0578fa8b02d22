--[[
arguments.lua - require "neap.arguments": what functions take.

A check is a function that gets a value and gives a complaint about it
("must be a boolean, not nil"), or nothing if it is right. What is wrong is
raised as the script's mistake: a string, with the line of the script above
all Lua halves.
]]

local asyncio = require "neap.asyncio"

local arguments = {}
local typename = asyncio._typename

--- arguments.misuse(what, reason)
--
-- Raises `WHAT: REASON` with the line of the script.
function arguments.misuse(what, reason)
  asyncio._misuse(what .. ": " .. reason)
end

--- arguments.check(what, name, value, check)
--
-- Raises `WHAT: NAME complaint` unless the value passes.
function arguments.check(what, name, value, check)
  local complaint = check(value)
  if complaint then arguments.misuse(what, name .. " " .. complaint) end
end

--- arguments.options(what, options, known) -> table
--
-- Gives `options`, or an empty table for nil. Raises `WHAT: unknown option
-- 'NAME'` or `WHAT: NAME complaint` unless all names are in `known`, a table
-- of checks by name, and their values pass.
function arguments.options(what, options, known)
  if options == nil then return {} end
  if type(options) ~= "table" then
    arguments.misuse(what, "options must be a table, not " .. typename(options))
  end
  for name, value in pairs(options) do
    local check = known[name]
    if not check then
      arguments.misuse(what, ("unknown option '%s'"):format(tostring(name)))
    end
    arguments.check(what, name, value, check)
  end
  return options
end

--- arguments.typename(value) -> string
--
-- What a value is, for messages: the name of its class, such as `"Stream"` or
-- `"coroutine object"`, or else of its type.
arguments.typename = typename

-- == Checks =============================================================

local function of_type(name)
  return function(value)
    if type(value) ~= name then
      return ("must be a %s, not %s"):format(name, typename(value))
    end
  end
end

--- arguments.boolean, arguments.func, arguments.string, arguments.table
--
-- Checks of a type.
arguments.boolean = of_type "boolean"
arguments.func = of_type "function"
arguments.string = of_type "string"
arguments.table = of_type "table"

--- arguments.name
--
-- Checks for a string that the system can take: not empty, and without a NUL.
function arguments.name(value)
  if type(value) ~= "string" then
    return "must be a string, not " .. typename(value)
  elseif value == "" then
    return "is empty"
  elseif value:find("\0", 1, true) then
    return "has a NUL"
  end
end

--- arguments.seconds
--
-- Checks for a number that is not negative and not NaN.
function arguments.seconds(value)
  if type(value) ~= "number" then
    return "must be a number, not " .. typename(value)
  elseif not (value >= 0) then
    return ("must be at least 0, not %s"):format(value)
  end
end

--- arguments.integer(least, most) -> check
--
-- Makes the check for an integer in that range.
function arguments.integer(least, most)
  return function(value)
    if type(value) ~= "number" then
      return "must be an integer, not " .. typename(value)
    elseif not math.tointeger(value) or value < least or value > most then
      return ("must be from %d to %d, not %s"):format(least, most, value)
    end
  end
end

return arguments
