--[[
names.lua - require "neap.net.names": the addresses of names, and what else
name servers know.
]]

local core = require "neap.net.core"
local arguments = require "neap.arguments"
local common = require "neap.net.common"

local is_six, misuse = common.is_six, arguments.misuse

local names = {}

local TYPES = {A = 0, AAAA = 0, PTR = 12, MX = 15, TXT = 16, SRV = 33}

local function record_type(value)
  if not TYPES[value] then
    return ("must be A, AAAA, MX, SRV, TXT or PTR, not %s"):format(value)
  end
end

-- "1.2.3.4", "1.2.3.4:53" or "[::1]:53"
function names.server_list(value)
  if type(value) ~= "table" or #value == 0 then
    return "must be a list of addresses"
  end
  for _, server in ipairs(value) do
    local text = tostring(server)
    local host, port = text:match "^%[(.+)%]:(%d+)$"
    if not host then host, port = text:match "^([^:]+):(%d+)$" end
    if not core.is_address(host or text) then
      return ("has '%s', which is no address"):format(text)
    elseif port and common.remote_port(tonumber(port)) then
      return ("has '%s', whose port is none"):format(text)
    end
  end
end

local resolve_options = {
  family = common.address_family, type = record_type,
  timeout = arguments.seconds, servers = names.server_list,
}

local function by_priority(a, b)
  return a.priority < b.priority
end

local function ask(options)
  local host, kind = options.host, options.type
  if TYPES[kind or "A"] == 0 and core.is_localhost(host) then
    return ({[4] = {"127.0.0.1"}, [6] = {"::1"}})[options.family]
      or {"127.0.0.1", "::1"}
  end
  if not core.dns_ready() then
    if kind and TYPES[kind] ~= 0 then
      misuse("resolve", "type " .. kind .. " needs c-ares")
    elseif options.servers then
      misuse("resolve", "servers needs c-ares")
    end
    return await core.resolve(host, options.family)
  end
  local family = options.family or 0
  if kind == "PTR" then
    family = core.is_address(host) and (is_six(host) and 6 or 4) or 0
  end
  local servers = options.servers and table.concat(options.servers, ",")
  local found = await core.dns(host, TYPES[kind or "A"], family, servers)
  if kind == "MX" or kind == "SRV" then table.sort(found, by_priority) end
  return found
end

--- async net.resolve(host [, options]) -> list
--
-- The addresses of a host as strings, in the order in which to try them. An
-- address is its own only address, and `localhost` is always this machine.
-- Else `/etc/hosts` comes first, then the servers of `/etc/resolv.conf`.
-- Options:
--
-- - `family`: 4 or 6, for addresses of this family alone;
-- - `type`: what to ask for (addresses of both families):
--   - `"A"`, `"AAAA"`: like family 4 and 6;
--   - `"MX"`: a list of `{host=, priority=}`, `"SRV"`: of `{host=, port=,
--     priority=, weight=}`; the best (lowest) priority first;
--   - `"TXT"`: a list of strings;
--   - `"PTR"`: the names of an address, as a list of strings;
-- - `servers`: whom to ask instead, a list such as `{"192.0.2.1",
--   "127.0.0.1:5353"}`;
-- - `timeout`: seconds for all of it, after which a `TimeoutError` is raised
--   (10).
--
-- A failure is an `asyncio.DNSError`: `e.code` is `"EAI_NONAME"` (no such
-- name), `"EAI_NODATA"` (the name has no such records), `"EAI_AGAIN"` (no
-- server would answer) or `"EAI_FAIL"`.
--
-- This needs c-ares, which is loaded when the first name is looked up. Where
-- it is missing, the system's own function is asked for addresses, on a
-- thread, and types and servers cannot be given.
async function names.resolve(host, options)
  arguments.check("resolve", "host", host, arguments.name)
  local all = {}
  options = arguments.options("resolve", options, resolve_options)
  for key, value in pairs(options) do all[key] = value end
  all.host = host
  if all.type == "A" then all.family = 4 end
  if all.type == "AAAA" then all.family = 6 end
  if TYPES[all.type or "A"] == 0 then
    if core.is_address(host) then
      local right = not all.family or (all.family == 6) == is_six(host)
      return right and {host} or {}
    end
  end
  local seconds = common.option(all.timeout, 10)
  if seconds == math.huge then return ask(all) end
  return common.within("resolve " .. host, seconds, ask, all)
end

return names
