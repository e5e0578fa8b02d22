--[[
net.lua - require "neap.net": TCP and Unix sockets, with TLS or without.

One operation on one socket each is in C (neap.net.core); here is what is made
of them: options, several addresses, time limits, iteration, serving.
]]

local core = require "neap.net.core"
local arguments = require "neap.arguments"
local asyncio = require "neap.asyncio"
local common = require "neap.net.common"
local names = require "neap.net.names"

local misuse, typename = arguments.misuse, arguments.typename

local is_six, option = common.is_six, common.option
local remote_port, socket_path = common.remote_port, common.socket_path
local Stream, Server = core.Stream, core.Server

local net = {
  pair = core.pair,
  resolve = names.resolve,
  udp = require "neap.net.udp",
  buffer = core.buffer,
  -- For modules whose streams come from elsewhere.
  _Stream = Stream,
  _open_fd = core.open_fd,
  _fileno = core.fileno,
  _buffer_size = core.buffer_size,
  IncompleteReadError = asyncio.IncompleteReadError,
  LimitOverrunError = asyncio.LimitOverrunError,
}

local backlog_size = arguments.integer(1, 65535)
local at_least_one = arguments.integer(1, 1 << 31)
local whole = arguments.integer(0, math.maxinteger)

-- == Connecting =========================================================

-- TLS is loaded when somebody asks for it.
local function tls() return require "neap.net.tls" end

local function tls_options(value)
  local kind = type(value)
  if kind ~= "boolean" and kind ~= "table" and kind ~= "userdata" then
    return "must be true, a table or a TLSContext, not " .. kind
  end
end

--- net.tls_context(options) -> TLSContext
--
-- What the options say, made once to be given as `tls` many times: the files
-- are read now, and a client resumes the sessions of servers it knows, which
-- saves most of a handshake. Contexts of servers need `server_side=true`.
-- Clients with `tls=true` share one.
function net.tls_context(options) return tls().new_context(options) end

-- Checks for an option that there must not be beside another.
local function excluded_by(other)
  return function() return "and " .. other .. " exclude each other" end
end

local tcp_options = {
  timeout = arguments.seconds, nodelay = arguments.boolean, tls = tls_options,
  server_hostname = arguments.name, family = common.address_family,
  servers = names.server_list, path = excluded_by "host",
}
local host_options = {host = arguments.name, port = remote_port}
for name, check in pairs(tcp_options) do host_options[name] = check end
local path_options = {
  path = socket_path, timeout = arguments.seconds, tls = tls_options,
  server_hostname = arguments.name,
}
for _, name in ipairs {"host", "port", "nodelay", "family", "servers"} do
  path_options[name] = excluded_by "path"
end

local function unless_connected(stream)
  return asyncio.defer(function(e) if e ~= nil then stream:close() end end)
end

-- The addresses of one family, for the race.
local function look_up(options, family)
  local host = options.host
  local found = await net.resolve(host, {family = family,
    servers = options.servers, timeout = math.huge}) -- connect has its own
  if #found > 0 then return found end
  error(asyncio.DNSError.new("connect " .. host .. ": no address",
    {code = "EAI_NODATA"}), 0)
end

-- What /etc/hosts says, as a list for each family. A name that is there is
-- nothing to ask servers about, whatever families it has.
local function in_hosts(host)
  if core.is_localhost(host) or not core.dns_ready() then return end
  local ok, found = pcall(function()
    return await core.dns(host, 0, 0, nil, true)
  end)
  if not ok then return end -- what else it may be, asking servers tells
  local known = {[4] = {}, [6] = {}}
  for _, address in ipairs(found) do
    table.insert(known[is_six(address) and 6 or 4], address)
  end
  return known
end

local function connect_host(options)
  local nodelay = option(options.nodelay, true)
  local async function attempt(address)
    local stream = core.socket(true)
    local _ <close> = unless_connected(stream)
    await core.connect(stream, address, options.port, nodelay)
    return stream
  end
  if core.is_address(options.host) then
    return await attempt(look_up(options, options.family)[1])
  end
  local known = not options.family and in_hosts(options.host)
  return require "neap.net.race"(
    options.family and {options.family} or {6, 4},
    async function(family)
      return known and known[family] or look_up(options, family)
    end, attempt)
end

-- While the server's backlog is full, the kernel says so instead of waiting.
local function connect_path(options)
  local function attempt()
    local stream = core.socket(false)
    local _ <close> = unless_connected(stream)
    await core.connect(stream, options.path)
    return stream
  end
  while true do
    local ok, result = pcall(attempt)
    if ok then return result end
    if not asyncio.iserror(result) or result.code ~= "EAGAIN" then
      error(result, 0)
    end
    await asyncio.sleep(0.01)
  end
end

local function text_of(options)
  if options.path then return "connect " .. options.path end
  local form = options.host:find(":", 1, true) and "[%s]:%d" or "%s:%d"
  return "connect " .. form:format(options.host, options.port)
end

local function connect_plain(options)
  return (options.path and connect_path or connect_host)(options)
end

local function connect_tls(options)
  local given = type(options.tls) == "table" and options.tls or {}
  local name = options.server_hostname or given.server_hostname
    or options.host
  local stream = connect_plain(options)
  local ok, err = asyncio.catch(tls().begin, "connect", stream,
    options.context, name, options.port or options.path)
  if not ok then stream:close() error(err, 0) end
  tls().finish(text_of(options), stream)
  return stream
end

local function connect(options)
  local f = connect_plain
  if options.tls then
    local all = {}
    for key, value in pairs(options) do all[key] = value end
    all.context = tls().context("connect", options.tls, false)
    options, f = all, connect_tls
  end
  local seconds = option(options.timeout, 30)
  if seconds == math.huge then return f(options) end
  return common.within(text_of(options), seconds, f, options)
end

-- Whom a stream without TLS is connected with, should it get that later.
local hosts = setmetatable({}, {__mode = "k"})

-- connect(host, port [, options]) or connect{path=} -> the table of options
local function connect_arguments(host, port, options)
  if type(host) == "table" then return host end
  local all = {}
  options = arguments.options("connect", options, tcp_options)
  for key, value in pairs(options) do all[key] = value end
  all.host, all.port = host, port
  return all
end

--- async net.connect(host, port [, options]) -> Stream
--- async net.connect{path=, timeout=, tls=, server_hostname=} -> Stream
--
-- Connects to `port` (1 to 65535) of `host`, a name or an address. The
-- addresses of a name race for the connection (RFC 8305):
--
-- - Unless `/etc/hosts` has the name, both families are looked up at once, and
--   IPv4 addresses that come first wait 0.05 seconds for the others.
-- - Then IPv6 and IPv4 take turns. The next one begins when one fails or has
--   not answered for 0.25 seconds.
-- - The first that is connected wins. If all fail, the error of the last is
--   raised.
--
-- Options:
--
-- - `timeout`: seconds for all of it, finding the name included, after which a
--   `TimeoutError` is raised (30); `math.huge` for no limit;
-- - `family`: 4 or 6, for addresses of this family alone;
-- - `servers`: name servers to ask, as for resolve;
-- - `nodelay`: false lets TCP wait a little to send more at once (true);
-- - `tls`: true, or a table of options, or a context: see [TLS](#tls). The
--   handshake is done, and the server verified, when connect returns;
-- - `server_hostname`: whom the certificate must name, if it is not `host`.
--
-- `net.connect{host=, port=, ...}` is the same. With `path` it connects to a
-- Unix socket; a path has at most 107 bytes and no NUL.
async function net.connect(host, port, options)
  options = connect_arguments(host, port, options)
  if options.path ~= nil then
    arguments.options("connect", options, path_options)
  else
    arguments.options("connect", options, host_options)
    -- What is missing is of a wrong type.
    arguments.check("connect", "host", options.host, arguments.name)
    arguments.check("connect", "port", options.port, remote_port)
  end
  if options.server_hostname and options.tls == nil then
    misuse("connect", "server_hostname without tls")
  end
  local stream = connect(options)
  if not options.tls then hosts[stream] = options.host end
  return stream
end

-- == Streams ============================================================

--- async stream:start_tls(options) -> stream
--
-- Turns a stream that is connected by whatever means into a TLS stream, from
-- its next byte on (STARTTLS and the like), and returns after the handshake.
-- `server_side=true` is for the server. Besides the options above: `timeout`
-- (30 seconds) and `context`, a context instead of what it is made of. The
-- `server_hostname` need not be given if `net.connect` was given a host. If it
-- fails, the stream is closed.
async function Stream:start_tls(options)
  return tls().start(self, options, hosts[self])
end

--- async stream:handshake()
--
-- What `accept` of a server with `tls` gives has not shaken hands yet; that is
-- done by its first read, write or shutdown, or by this.
async function Stream:handshake() await self:_handshake() end

--- stream:tls_info() -> table, or nil without TLS
--
-- `version` (`"TLSv1.3"`), `cipher`, `resumed`, and if there are such: `alpn`,
-- `server_hostname` and `peer`, which has the `subject`, the `issuer` and the
-- `pem` of the other side's certificate, and from when to when it is valid:
-- `not_before` and `not_after`, as `os.time()` counts.
function Stream:tls_info() return core.tls_info(self) end

--- stream:lines([max]) -> iterator
--
-- `for line in stream:lines() do`: read_line until the end.
--
-- ```lua
-- local net = require "neap.net"
-- local a <close>, b = net.pair()
-- local _ <close> = b
-- await a:write("name: neap\r\n\r\nbo", "dy")
-- a:close()
-- print((await b:read_until("\r\n\r\n")):match "name: (%w+)")
-- --> neap
-- local ok, e = pcall(function() return await b:read_exactly(10) end)
-- print(e.name, e.partial)
-- --> IncompleteReadError	body
-- ```
function Stream:lines(max)
  local read_line = self.read_line
  return function() return await read_line(self, max) end
end

local SEND = 256 << 10 -- bytes of a file read at once

-- While one part is written, the next is read.
local function send_parts(self, file, count)
  local sent, part, reading, err = 0, nil, nil, nil
  local _ <close> = asyncio.defer(function()
    if reading and not reading:done() then
      reading:cancel()
      await asyncio.wait {reading}
    end
  end)
  local function size() return math.min(SEND, count - sent - #(part or "")) end
  part = await file:read(size())
  while part and #part > 0 do
    reading = size() > 0 and asyncio.create_task(file:read(size())) or nil
    await self:write(part)
    sent = sent + #part
    part = reading and await reading
  end
  return sent
end

--- async stream:sendfile(path [, offset [, count]]) -> bytes sent
--
-- Writes a file, or `count` bytes of it from `offset` (0) on, as write does,
-- on streams of all kinds. Of a file of any size half a megabyte is in memory.
-- If it ends before `count`, less is sent. What other tasks write meanwhile
-- may come between its parts.
async function Stream:sendfile(path, offset, count)
  arguments.check("sendfile", "path", path, arguments.name)
  if offset ~= nil then
    arguments.check("sendfile", "offset", offset, whole)
  end
  if count ~= nil then
    arguments.check("sendfile", "count", count, whole)
  end
  await self:write() -- tells whether it can be written to
  local file <close> = await require "neap.fs".open(path)
  if offset and offset > 0 then await file:seek("set", offset) end
  local sent = send_parts(self, file, count or math.maxinteger)
  return sent
end

-- == Servers ============================================================

local listen_options = {
  host = arguments.name, port = common.local_port,
  reuse_port = arguments.boolean, backlog = backlog_size,
  nodelay = arguments.boolean, tls = tls_options,
  max_connections = at_least_one,
}
local listen_path_options = {
  path = socket_path, backlog = backlog_size, tls = tls_options,
  max_connections = at_least_one,
}
for _, name in ipairs {"host", "port", "reuse_port", "nodelay"} do
  listen_path_options[name] = excluded_by "path"
end

local function listen_path(options)
  arguments.options("listen", options, listen_path_options)
  return core.listen(options.path, nil, options.backlog or 1024)
end

local function listen_host(options)
  arguments.options("listen", options, listen_options)
  local host = options.host or "127.0.0.1"
  if not core.is_address(host) then host = (await net.resolve(host))[1] end
  return core.listen(host, options.port or 0, options.backlog or 1024,
    options.reuse_port, option(options.nodelay, true))
end

-- What of a server only serving needs.
local secure = setmetatable({}, {__mode = "k"})
local limits = setmetatable({}, {__mode = "k"})
local serving = setmetatable({}, {__mode = "k"})

--- net.listen{host=, port=, path=, tls=, ...} -> Server
--
-- Listens on `host` (`"127.0.0.1"`; `"0.0.0.0"` or `"::"` for everybody) and
-- `port` (0: the system chooses one, see sockname), or on the Unix socket
-- `path`. Options:
--
-- - `reuse_port`: several processes may listen on the port (false);
-- - `backlog`: connections that the kernel keeps until they are accepted
--   (1024);
-- - `nodelay`: as for connect, for the accepted connections (true);
-- - `tls`: the options or the context of a server, with its `cert`: see
--   [TLS](#tls);
-- - `max_connections`: how many `serve` serves at once; more wait in the
--   backlog (no limit).
--
-- A Unix socket is removed when the server is closed; one that a program left
-- behind when it crashed is replaced. `await net.listen{...}` may be written
-- as well. A `host` that is a name is looked up, which waits.
function net.listen(options)
  arguments.check("listen", "options", options, arguments.table)
  local listen = options.path ~= nil and listen_path or listen_host
  local context -- before there is a socket that must be closed
  if options.tls then
    context = tls().context("listen", options.tls, true)
  end
  local server = listen(options)
  if context then
    core.server_tls(server, context)
    secure[server] = true
  end
  limits[server] = options.max_connections
  return server
end

--- server:connections() -> iterator
--
-- `for conn in server:connections() do`: accept until the server is closed.
function Server:connections()
  return function() return await self:_next() end
end

-- Gives an async function that does what the handler does. One that is async
-- already runs with nothing below it: most connections are idle, and frames
-- are most of what an idle one costs.
local function async_of(handler)
  if debug.getinfo(handler, "S").what == "C" then return handler end
  return async function(conn)
    local result = handler(conn)
    if asyncio.iscoroutine(result) or asyncio.isfuture(result) then
      await result
    end
  end
end

-- Before a handler begins, so that one who does not say hello or does not
-- trust us costs nothing but this; it is no failure of the handler.
local function with_handshake(handler)
  return async function(conn)
    local ok, err = pcall(tls().finish, nil, conn, 30)
    if ok then
      await handler(conn)
    else
      core.debug("a client was not served: " .. tostring(err))
    end
  end
end

-- The handlers at work: running[task] is its connection.
local function new_handlers()
  local running, count, changed = {}, 0, asyncio.Event()
  local handlers = {}

  local function ended(task)
    local conn = running[task]
    if not conn then return end
    running[task] = nil
    count = count - 1
    conn:close()
    changed:set()
    if task:cancelled() or task:exception() == nil then return end
    core.report("error in a connection's handler", task:exception(), task)
  end

  function handlers.start(coroutine, conn)
    local task = asyncio.create_task(coroutine)
    running[task] = conn
    task:add_done_callback(ended)
    count = count + 1 -- now that nothing can fail any more
  end

  -- Waits until there are fewer than `limit`.
  function handlers.wait(limit)
    while count >= limit do
      changed:clear()
      await changed:wait()
    end
  end

  -- Looks itself who has ended: if there was no memory to call `ended`, all
  -- tasks are cancelled, and this is what ends serve.
  function handlers.cancel()
    for task in pairs(running) do
      if task:done() then ended(task) else task:cancel() end
    end
    handlers.wait(1)
  end

  return handlers
end

--- async server:serve(handler)
--
-- Runs `handler(conn)` (an async or an ordinary function) in a task of its own
-- for each connection, which is closed when the handler ends. An error in it
-- costs this connection alone: it is reported on stderr with its traceback,
-- and does not change the exit status. When the server is closed, serve
-- returns once all handlers have; when serve is cancelled, so are they, and
-- their ends are awaited. An async handler costs an idle connection the least
-- memory. One task serves at a time.
--
-- With `tls` the handshake is done before the handler is called. A client that
-- fails in it, or needs more than 30 seconds, is not served; only debug mode
-- tells.
async function Server:serve(handler)
  if type(handler) ~= "function" then
    misuse("serve",
      "handler must be a function, not " .. typename(handler))
  end
  if serving[self] then misuse("serve", "another task is serving") end
  handler = async_of(handler)
  if secure[self] then handler = with_handshake(handler) end
  local handlers, limit = new_handlers(), limits[self]
  serving[self] = handlers
  local _ <close> = asyncio.defer(function() serving[self] = nil end)
  local _ <close> = asyncio.defer(handlers.cancel)
  for conn in self:connections() do
    handlers.start(handler(conn), conn)
    if limit then handlers.wait(limit) end
  end
  handlers.wait(1)
end

local function wait_within(handlers, grace)
  local _ <close> = asyncio.timeout(grace)
  handlers.wait(1)
end

local async function end_handlers(handlers, grace)
  if not handlers then return end
  local ok, err = pcall(wait_within, handlers, grace)
  if ok then return end
  if not asyncio.iserror(err, asyncio.TimeoutError) then error(err, 0) end
  handlers.cancel()
end

local close = Server.close
local at_once = setmetatable({}, {__await = async function() end})

--- server:close([grace])
--
-- Stops listening, at once. Accepted connections live on. (`await` may be
-- written, and does not wait.) With `grace`, write `await
-- server:close(grace)`: it returns when the handlers of `serve` have ended,
-- and cancels those that are still at work after so many seconds.
function Server:close(grace)
  if grace ~= nil then
    arguments.check("close", "grace", grace, arguments.seconds)
  end
  close(self)
  if grace == nil then return at_once end -- which need not be awaited
  return end_handlers(serving[self], grace)
end

return net
