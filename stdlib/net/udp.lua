--[[
udp.lua - require "neap.net.udp": sockets for datagrams.
]]

local core = require "neap.net.core"
local arguments = require "neap.arguments"
local asyncio = require "neap.asyncio"
local common = require "neap.net.common"
local names = require "neap.net.names"

local is_six = common.is_six
local misuse, typename = arguments.misuse, arguments.typename
local Udp = core.Udp

local udp_options = {
  host = arguments.name, port = common.local_port,
  remote_host = arguments.name, remote_port = common.remote_port,
  reuse_address = arguments.boolean, reuse_port = arguments.boolean,
  broadcast = arguments.boolean,
}

-- The first address of a host, which is usually one already. A socket can
-- send to those of its family, which is that of `near`.
local function address_of(host, near)
  if core.is_address(host) then return host end
  local found = await names.resolve(host)
  for _, address in ipairs(found) do
    if near and is_six(address) == is_six(near) then return address end
  end
  return found[1]
end

--- net.udp{host=, port=, remote_host=, remote_port=, ...} -> Udp
--
-- A socket for datagrams on `host` (`"0.0.0.0"`, or `"::"` if the remote host
-- has an IPv6 address) and `port` (0: the system chooses one). With
-- `remote_host` and `remote_port` it is connected: it sends to that one and
-- hears no other, and is told if nobody is there (`ECONNREFUSED`, at a later
-- call). Options: `reuse_address`, `reuse_port`, `broadcast` (all false).
local function udp(options)
  options = arguments.options("udp", options, udp_options)
  local remote = options.remote_host
  if (remote == nil) ~= (options.remote_port == nil) then
    misuse("udp", remote and "remote_port is missing"
      or "remote_host is missing")
  end
  local host = options.host and address_of(options.host)
  remote = remote and address_of(remote, host)
  host = host or remote and is_six(remote) and "::" or "0.0.0.0"
  local socket = core.udp(host, options.port or 0, options.reuse_address,
    options.reuse_port)
  local _ <close> = asyncio.defer(function(e) if e then socket:close() end end)
  if options.broadcast then socket:set_broadcast(true) end
  if remote then socket:_connect(remote, options.remote_port) end
  return socket
end

--- async udp:send(data [, host, port])
--
-- Sends one datagram, `host` and `port` only if it is not connected. Waits
-- only while the system's buffer is full. That it arrives is not certain; one
-- of more than 65,507 bytes is an `EMSGSIZE`.
async function Udp:send(data, host, port)
  if type(data) ~= "string" and type(data) ~= "number" then
    misuse("send", "data must be a string, not " .. typename(data))
  end
  if host == nil and port == nil then return await self:_send(data) end
  arguments.check("send", "host", host, arguments.name)
  arguments.check("send", "port", port, common.remote_port)
  if not core.is_address(host) then
    host = address_of(host, self:sockname().host)
  end
  return await self:_send(data, host, port)
end

return udp
