--[[
common.lua - require "neap.net.common": what the parts of neap.net share,
checks of arguments and time limits.
]]

local core = require "neap.net.core"
local arguments = require "neap.arguments"
local asyncio = require "neap.asyncio"

local common = {
  local_port = arguments.integer(0, 65535),
  remote_port = arguments.integer(1, 65535),
}

local PATH_MAX = 107 -- what the address of a Unix socket holds

function common.socket_path(value)
  local complaint = arguments.name(value)
  if not complaint and #value > PATH_MAX then
    complaint = ("is longer than %d bytes"):format(PATH_MAX)
  end
  return complaint
end

function common.address_family(value)
  if value ~= 4 and value ~= 6 then return "must be 4 or 6" end
end

function common.is_six(address) return address:find(":", 1, true) ~= nil end

local function limited(seconds, f, options)
  local _ <close> = asyncio.timeout(seconds)
  return f(options)
end

-- Gives f(options); if it takes longer, raises a TimeoutError that says what.
function common.within(what, seconds, f, options)
  local ok, result = pcall(limited, seconds, f, options)
  if ok then return result end
  if asyncio.iserror(result, asyncio.TimeoutError) then
    core.timed_out(what)
  end
  error(result, 0)
end

function common.option(value, default)
  if value == nil then return default end
  return value
end

return common
