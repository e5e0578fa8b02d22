--[[
arguments.lua - require "neap.arguments": what functions take.

A check is a function that gets a value and gives a complaint about it
("must be a boolean, not nil"), or nothing if it is right. What is wrong is
raised as the script's mistake: a string, with the line of the script above
all Lua halves.
]]

local asyncio = require "neap.asyncio"

local arguments = {}

-- Raises "what: reason" with the line of the script.
function arguments.misuse(what, reason)
  asyncio._misuse(what .. ": " .. reason)
end

-- Raises unless `value`, called `name` in the message, passes the check.
function arguments.check(what, name, value, check)
  local complaint = check(value)
  if complaint then arguments.misuse(what, name .. " " .. complaint) end
end

-- Gives the options, an empty table for nil. Raises unless `options` has
-- only names of `known`, which has the check of each, and all are right.
function arguments.options(what, options, known)
  if options == nil then return {} end
  if type(options) ~= "table" then
    arguments.misuse(what, "options must be a table, not " .. type(options))
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

-- == Checks =============================================================

local function of_type(name)
  return function(value)
    if type(value) ~= name then
      return ("must be a %s, not %s"):format(name, type(value))
    end
  end
end

arguments.boolean = of_type "boolean"
arguments.func = of_type "function"
arguments.string = of_type "string"
arguments.table = of_type "table"

-- A string for the system: not empty, no NUL.
function arguments.name(value)
  if type(value) ~= "string" then
    return "must be a string, not " .. type(value)
  elseif value == "" then
    return "is empty"
  elseif value:find("\0", 1, true) then
    return "has a NUL"
  end
end

function arguments.seconds(value)
  if type(value) ~= "number" then
    return "must be a number, not " .. type(value)
  elseif not (value >= 0) then
    return ("must be at least 0, not %s"):format(value)
  end
end

-- Gives the check for an integer from `least` to `most`.
function arguments.integer(least, most)
  return function(value)
    if type(value) ~= "number" then
      return "must be an integer, not " .. type(value)
    elseif not math.tointeger(value) or value < least or value > most then
      return ("must be from %d to %d, not %s"):format(least, most, value)
    end
  end
end

return arguments
