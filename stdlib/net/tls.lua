--[[
tls.lua - TLS for neap.net, loaded when the first stream wants it.

Makes contexts (core.tls_context) out of options, and starts TLS on streams.
Whatever is given as `tls`, the options of start_tls or of net.tls_context
come here.
]]

local core = require "neap.net.core"
local arguments = require "neap.arguments"
local asyncio = require "neap.asyncio"

local misuse, typename = arguments.misuse, arguments.typename

local tls = {}

-- == Options ============================================================

local check = {}

check.ca, check.cert, check.key =
  arguments.name, arguments.name, arguments.name

function check.server_hostname(value)
  local complaint = arguments.name(value)
  if not complaint and value:find "%s" then
    complaint = ("'%s' is no name"):format(value)
  end
  return complaint
end

check.password, check.server_side, check.timeout =
  arguments.string, arguments.boolean, arguments.seconds

function check.verify(value)
  if type(value) ~= "boolean" and value ~= "optional" then
    return "must be true, false or 'optional'"
  end
end

function check.alpn(value)
  if type(value) ~= "table" then
    return "must be a list of names, not " .. typename(value)
  end
  for key in pairs(value) do
    local name = value[key]
    if math.type(key) ~= "integer" then
      return ("must be a list of names, and has a '%s'"):format(tostring(key))
    elseif type(name) ~= "string" or #name == 0 or #name > 255 then
      return ("has no name of 1 to 255 bytes at %d"):format(key)
    end
  end
end

local function version(value)
  if value ~= "1.2" and value ~= "1.3" then
    return "must be '1.2' or '1.3'"
  end
end

check.min_version, check.max_version = version, version

function check.sni(value)
  if type(value) ~= "table" then
    return "must be a table, not " .. typename(value)
  end
  for name, pair in pairs(value) do
    if type(name) ~= "string" or type(pair) ~= "table" then
      return "must give {cert=, key=} for each name"
    end
  end
end

local function is_context(value)
  return type(value) == "userdata"
    and (getmetatable(value) or {}).__name == "neap.net.TLSContext"
end

function check.context(value)
  if not is_context(value) then return "must be a TLSContext" end
end

local context_options = {
  "ca", "cert", "key", "password", "verify", "alpn", "min_version",
  "max_version", "sni", "server_side",
}

local function set_of(...)
  local set = {}
  for _, names in ipairs {...} do
    for _, name in ipairs(names) do set[name] = check[name] end
  end
  return set
end

local for_context = set_of(context_options)
local for_client = set_of(context_options, {"server_hostname"})
local for_start = set_of(context_options,
  {"server_hostname", "timeout", "context"})
local for_name = set_of {"cert", "key", "password"}

-- == Contexts ===========================================================

-- A value with a certificate inside is one; any other is the path of a file.
local function pem(what, name, value)
  if value:find("-----BEGIN", 1, true) then return value end
  return core.read_file(value, what .. ": " .. name)
end

local function set_identity(context, what, options)
  local cert, key = options.cert, options.key or options.cert
  if not cert then
    if options.key then misuse(what, "key without cert") end
    return
  end
  context:_certificate(what .. ": cert", pem(what, "cert", cert))
  context:_key(what .. ": key", pem(what, "key", key), options.password or "")
end

-- What Lua must know of a context: whether it is a server's, verifies, and
-- has yet to be told whom the system trusts.
local facts = setmetatable({}, {__mode = "k"})

local function set_trust(context, what, options, server)
  local verify = options.verify
  if verify == nil then verify = not server or options.ca ~= nil end
  if verify == "optional" and not server then
    misuse(what, "verify='optional' is for servers")
  end
  if options.ca then
    context:_trust(what .. ": ca", pem(what, "ca", options.ca))
  elseif verify and server then
    context:_trust_system() -- seldom, and when a program starts
  end
  context:_verify(verify == "optional" and verify
    or verify and "required" or "none")
  facts[context] = {
    server = server, verify = verify,
    system = verify and not server and not options.ca,
  }
end

local reading -- the task that reads whom the system trusts

-- Done by the first client that needs it; clients cannot wait when they are
-- made.
local function trust_system(context)
  local fact = facts[context]
  if not fact.system then return end
  if not reading or reading:done() and not pcall(reading.result, reading) then
    reading = asyncio.create_task(core.tls_trust())
  end
  await asyncio.shield(reading)
  if fact.system then context:_trust_system() end
  fact.system = false
end

local function wire(names)
  local parts = {}
  for i, name in ipairs(names) do parts[i] = string.pack("s1", name) end
  return table.concat(parts)
end

local function build(what, options, server)
  local context = core.tls_context(server)
  set_identity(context, what, options)
  set_trust(context, what, options, server)
  if options.alpn and #options.alpn > 0 then
    context:_alpn(wire(options.alpn))
  end
  if options.min_version == "1.3" and options.max_version == "1.2" then
    misuse(what, "min_version is above max_version")
  end
  if options.sni and not server then misuse(what, "sni is for servers") end
  context:_versions(options.min_version, options.max_version)
  for name, pair in pairs(options.sni or {}) do
    local of_name = ("%s: sni '%s'"):format(what, name)
    arguments.options(of_name, pair, for_name)
    if not pair.cert then misuse(of_name, "cert is missing") end
    local other = core.tls_context(true)
    set_identity(other, of_name, pair)
    context:_name(name, other)
  end
  if server and not options.cert and not next(options.sni or {}) then
    misuse(what, "tls needs a cert")
  end
  return context
end

local default -- for clients that want nothing in particular

-- The context for `tls = value`; `what` is the function that was called.
function tls.context(what, value, server)
  if is_context(value) then
    if facts[value].server ~= server then
      misuse(what, server and "tls is a client's" or "tls is a server's")
    end
    return value
  elseif value == true and not server then
    default = default or build(what, {}, false)
    return default
  elseif value == true then
    misuse(what, "tls needs a cert")
  elseif type(value) ~= "table" then
    misuse(what, "tls must be true, a table or a TLSContext, not "
      .. typename(value))
  end
  arguments.options(what, value, server and for_context or for_client)
  if value.server_side ~= nil and value.server_side ~= server then
    misuse(what, ("server_side must be %s here"):format(server))
  end
  return build(what, value, server)
end

-- net.tls_context{...}: the same for many streams
function tls.new_context(options)
  arguments.check("tls_context", "options", options, arguments.table)
  arguments.options("tls_context", options, for_context)
  return build("tls_context", options, options.server_side == true)
end

-- == Starting ===========================================================

-- Gives TLS to a stream and returns before the handshake. `where` tells the
-- sessions of servers apart.
function tls.begin(what, stream, context, hostname, where)
  local fact = facts[context]
  if not fact.server and fact.verify and not hostname then
    misuse(what, "server_hostname is missing")
  end
  -- The dot of a name that is complete is not in certificates.
  if hostname then hostname = hostname:match "^(.+)%.$" or hostname end
  trust_system(context)
  core.tls_start(stream, context, hostname,
    hostname and where and hostname .. " " .. where)
end

local function handshake(stream, what) await stream:_handshake(what) end

local function within(seconds, stream, what)
  local _ <close> = asyncio.timeout(seconds)
  handshake(stream, what)
end

-- Waits for the end of the handshake; if there is none, the stream is of no
-- use any more. Without `what`, the error names the peer.
function tls.finish(what, stream, seconds)
  local _ <close> = asyncio.defer(function(e)
    if e ~= nil then stream:close() end
  end)
  if not seconds or seconds == math.huge then
    handshake(stream, what)
    return -- no tail call: what is to be closed is closed after it
  end
  local ok, err = pcall(within, seconds, stream, what)
  if ok then return end
  if asyncio.iserror(err, asyncio.TimeoutError) then
    core.timed_out(what or "handshake")
  end
  error(err, 0)
end

-- The context for start_tls: that of the options, or what they say.
local function start_context(options)
  local context, server = options.context, options.server_side
  if not context then return build("start_tls", options, server == true) end
  if server == nil then server = facts[context].server end
  for _, name in ipairs(context_options) do
    if options[name] ~= nil and name ~= "server_side" then
      misuse("start_tls", ("%s is given, and a context"):format(name))
    end
  end
  return tls.context("start_tls", context, server)
end

-- stream:start_tls(options); `host` is whom it was connected with, if it was
function tls.start(stream, options, host)
  if is_context(options) then options = {context = options} end
  arguments.check("start_tls", "options", options, arguments.table)
  arguments.options("start_tls", options, for_start)
  local context, hostname = start_context(options), options.server_hostname
  if hostname and facts[context].server then
    misuse("start_tls", "server_hostname is for clients")
  elseif not facts[context].server then
    hostname = hostname or host
  end
  local ok, at = pcall(stream.peername, stream)
  local where = ok and (at.path or at.port) or nil
  tls.begin("start_tls", stream, context, hostname, where)
  tls.finish("start_tls", stream, options.timeout or 30)
  return stream
end

return tls
