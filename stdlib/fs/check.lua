--[[
check.lua - require "neap.fs.check": what the functions of neap.fs take beside
what neap.arguments knows.
]]

local core = require "neap.fs.core"
local arguments = require "neap.arguments"

local typename = arguments.typename
local check = {path = core.check_path}

-- A path, or a TempDir; tostring gives the path of either.
function check.directory(value)
  if typename(value) ~= "TempDir" then return arguments.name(value) end
end

-- What a value is, for messages: a number itself, or its type.
local function shown(value)
  return math.type(value) and tostring(value) or typename(value)
end

-- Digits that look octal, and have the sticky bit beside hardly any other:
-- 644 is 1204, and 755 is 1363. Lua has no octal numbers to write instead.
local function is_mistaken(bits)
  return bits >= 512 and bits <= 777 and tostring(bits):find "^[0-7]+$"
end

-- Bits of a mode, as an integer or octal digits.
function check.bits(value)
  local bits = value
  if type(value) == "string" then
    bits = value:find "^[0-7]+$" and #value < 9 and tonumber(value, 8)
  end
  if not math.tointeger(bits) then
    return "must be an integer or octal digits, not " ..
      (type(value) == "string" and ("%q"):format(value) or shown(value))
  elseif bits < 0 or bits > 4095 then
    return "must be from 0 to 7777 octal"
  elseif type(value) ~= "string" and is_mistaken(math.tointeger(bits)) then
    return ("is %d, which is %o octal: write it as \"%d\""):format(bits, bits,
      bits)
  end
end

function check.count(value)
  if math.type(value) ~= "integer" then
    return "must be an integer, not " .. shown(value)
  elseif value < 1 then
    return ("must be at least 1, not %d"):format(value)
  end
end

function check.part_of_name(value)
  if type(value) ~= "string" then
    return "must be a string, not " .. typename(value)
  elseif value:find "[%z/]" then
    return "has a NUL or a slash"
  end
end

-- The bits of a mode, `default` if it is nil.
function check.mode(name, mode, default)
  if mode == nil then return default end
  arguments.check(name, "mode", mode, check.bits)
  return type(mode) == "string" and tonumber(mode, 8) or mode
end

function check.join(path, name)
  if path:sub(-1) == "/" then return path .. name end
  return path .. "/" .. name
end

return check
