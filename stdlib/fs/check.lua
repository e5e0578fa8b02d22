--[[
check.lua - require "neap.fs.check": what the functions of neap.fs take.

Whatever is wrong is raised with the line of the script that called.
]]

local core = require "neap.fs.core"

local check = {path = core.check_path, misuse = core.misuse}

-- Each gives a complaint about a value, or nothing if it is right.
local kinds = {}

local function kind(name)
  kinds[name] = function(value)
    if type(value) ~= name then
      return ("must be a %s, not %s"):format(name, type(value))
    end
  end
end

kind "boolean"
kind "function"

function kinds.mode(value)
  local bits = value
  if type(value) == "string" then
    bits = value:find "^[0-7]+$" and #value < 9 and tonumber(value, 8)
  end
  if not math.tointeger(bits) then
    return "must be an integer or octal digits, not " ..
      (type(value) == "string" and ("%q"):format(value) or type(value))
  elseif bits < 0 or bits > 4095 then
    return "must be from 0 to 7777 octal"
  end
end

function kinds.count(value)
  if math.type(value) ~= "integer" then
    return "must be an integer, not " .. type(value)
  elseif value < 1 then
    return ("must be at least 1, not %d"):format(value)
  end
end

function kinds.path(value)
  if type(value) ~= "string" then
    return "must be a string, not " .. type(value)
  elseif value == "" then
    return "is empty"
  elseif value:find("\0", 1, true) then
    return "has a NUL"
  end
end

-- A part of a name.
function kinds.name(value)
  if type(value) ~= "string" then
    return "must be a string, not " .. type(value)
  elseif value:find "[%z/]" then
    return "has a NUL or a slash"
  end
end

local none = {}

-- The options, which may be nil, as a table; `known` has the kind of each.
function check.options(name, options, known)
  if options == nil then return none end
  if type(options) ~= "table" then
    core.misuse(name, "options must be a table, not " .. type(options))
  end
  for key, value in pairs(options) do
    if not known[key] then
      core.misuse(name, ("unknown option '%s'"):format(key))
    end
    local complaint = kinds[known[key]](value)
    if complaint then core.misuse(name, key .. " " .. complaint) end
  end
  return options
end

-- The bits of a mode, `default` if it is nil.
function check.mode(name, mode, default)
  if mode == nil then return default end
  local complaint = kinds.mode(mode)
  if complaint then core.misuse(name, "mode " .. complaint) end
  return type(mode) == "string" and tonumber(mode, 8) or mode
end

function check.join(path, name)
  if path:sub(-1) == "/" then return path .. name end
  return path .. "/" .. name
end

return check
