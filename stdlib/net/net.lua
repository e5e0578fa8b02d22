--[[
net.lua - require "neap.net": TCP and Unix sockets.

One operation on one socket each is in C (neap.net.core); here is what is made
of them: options, several addresses, time limits, iteration, serving.
]]

local core = require "neap.net.core"
local asyncio = require "neap.asyncio"

local Stream, Server = core.Stream, core.Server

local net = {
  pair = core.pair,
  -- For modules whose streams come from elsewhere.
  _Stream = Stream,
  _open_fd = core.open_fd,
  _fileno = core.fileno,
  IncompleteReadError = asyncio.IncompleteReadError,
  LimitOverrunError = asyncio.LimitOverrunError,
}

-- == Arguments ==========================================================

local PATH_MAX = 107 -- what the address of a Unix socket holds

-- Each gives a complaint about a value, or nothing if it is right.
local check = {}

function check.boolean(value)
  if type(value) ~= "boolean" then
    return "must be a boolean, not " .. type(value)
  end
end

function check.seconds(value)
  if type(value) ~= "number" then
    return "must be a number, not " .. type(value)
  elseif not (value >= 0) then
    return ("must be at least 0, not %s"):format(value)
  end
end

local function integer(value, least, most)
  if type(value) ~= "number" then
    return "must be an integer, not " .. type(value)
  elseif not math.tointeger(value) or value < least or value > most then
    return ("must be from %d to %d, not %s"):format(least, most, value)
  end
end

function check.port(value) return integer(value, 0, 65535) end
function check.remote_port(value) return integer(value, 1, 65535) end
function check.backlog(value) return integer(value, 1, 65535) end

function check.host(value)
  if type(value) ~= "string" then
    return "must be a string, not " .. type(value)
  elseif value == "" then
    return "is empty"
  elseif value:find("\0", 1, true) then
    return "has a NUL"
  end
end

function check.path(value)
  local complaint = check.host(value)
  if not complaint and #value > PATH_MAX then
    complaint = ("is longer than %d bytes"):format(PATH_MAX)
  end
  return complaint
end

-- Raises, with the caller's line, unless `options` has only what `known`
-- checks, all of it right.
local function check_options(name, options, known)
  if type(options) ~= "table" then
    core.misuse(name, "options must be a table, not " .. type(options))
  end
  for key, value in pairs(options) do
    local right = known[key]
    if not right then
      core.misuse(name, ("unknown option '%s'"):format(key))
    end
    local complaint = right(value)
    if complaint then core.misuse(name, key .. " " .. complaint) end
  end
end

local function option(value, default)
  if value == nil then return default end
  return value
end

-- == Connecting =========================================================

local tcp_options = {
  host = check.host, port = check.remote_port, timeout = check.seconds,
  nodelay = check.boolean,
}
local path_options = {path = check.path, timeout = check.seconds}

async function net.resolve(host)
  local complaint = check.host(host)
  if complaint then core.misuse("resolve", "host " .. complaint) end
  if core.is_address(host) then return {host} end
  return await core.resolve(host)
end

local function connect_host(options)
  local host, nodelay = options.host, option(options.nodelay, true)
  local addresses = await net.resolve(host)
  local function attempt(address)
    return await core.connect(address, options.port, nodelay)
  end
  local failure
  for _, address in ipairs(addresses) do
    local ok, result = pcall(attempt, address)
    if ok then return result end
    failure = result
  end
  error(failure, 0)
end

-- While the server's backlog is full, the kernel says so instead of waiting.
local function connect_path(options)
  local function attempt() return await core.connect(options.path) end
  while true do
    local ok, result = pcall(attempt)
    if ok then return result end
    if not asyncio.iserror(result) or result.code ~= "EAGAIN" then
      error(result, 0)
    end
    await asyncio.sleep(0.01)
  end
end

local function within(seconds, f, options)
  local _ <close> = asyncio.timeout(seconds)
  return f(options)
end

local function text_of(options)
  if options.path then return "connect " .. options.path end
  local form = options.host:find(":", 1, true) and "[%s]:%d" or "%s:%d"
  return "connect " .. form:format(options.host, options.port)
end

local function connect(options)
  local f = options.path and connect_path or connect_host
  local seconds = option(options.timeout, 30)
  if seconds == math.huge then return f(options) end
  local ok, result = pcall(within, seconds, f, options)
  if ok then return result end
  if asyncio.iserror(result, asyncio.TimeoutError) then
    core.timed_out(text_of(options))
  end
  error(result, 0)
end

-- connect(host, port [, options]) or connect{path=} -> the table of options
local function connect_arguments(host, port, options)
  if type(host) == "table" then return host end
  local all = {}
  if options ~= nil then
    check_options("connect", options, tcp_options)
    for key, value in pairs(options) do all[key] = value end
  end
  all.host, all.port = host, port
  return all
end

async function net.connect(host, port, options)
  options = connect_arguments(host, port, options)
  if options.path ~= nil then
    check_options("connect", options, path_options)
  else
    check_options("connect", options, tcp_options)
    -- What is missing is of a wrong type.
    local complaint = check.host(options.host)
    if complaint then core.misuse("connect", "host " .. complaint) end
    complaint = check.remote_port(options.port)
    if complaint then core.misuse("connect", "port " .. complaint) end
  end
  return connect(options)
end

-- == Streams ============================================================

function Stream:lines(max)
  return function() return await self:read_line(max) end
end

-- == Servers ============================================================

local listen_options = {
  host = check.host, port = check.port, reuse_port = check.boolean,
  backlog = check.backlog, nodelay = check.boolean,
}
local listen_path_options = {path = check.path, backlog = check.backlog}

local function listen_path(options)
  check_options("listen", options, listen_path_options)
  return core.listen(options.path, nil, options.backlog or 1024)
end

local function listen_host(options)
  check_options("listen", options, listen_options)
  local host = options.host or "127.0.0.1"
  if not core.is_address(host) then host = (await net.resolve(host))[1] end
  return core.listen(host, options.port or 0, options.backlog or 1024,
    options.reuse_port, option(options.nodelay, true))
end

-- `await net.listen{...}` is right too: a server is there at once.
local async function itself(server) return server end

function net.listen(options)
  local has_path = type(options) == "table" and options.path ~= nil
  local server = (has_path and listen_path or listen_host)(options)
  getmetatable(server).__await = itself
  return server
end

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

-- The handlers at work: running[task] is its connection.
local function new_handlers()
  local running, count, none = {}, 0, asyncio.Event()
  local handlers = {}

  local function ended(task)
    local conn = running[task]
    if not conn then return end
    running[task] = nil
    count = count - 1
    conn:close()
    if count == 0 then none:set() end
    if task:cancelled() or task:exception() == nil then return end
    core.report("error in a connection's handler: "
      .. tostring(task:exception()), task:traceback())
  end

  function handlers.start(coroutine, conn)
    local task = asyncio.create_task(coroutine)
    running[task] = conn
    task:add_done_callback(ended)
    count = count + 1 -- now that nothing can fail any more
  end

  -- Looks itself too: a callback is lost if there is no memory to call it.
  function handlers.wait()
    for task in pairs(running) do
      if task:done() then ended(task) end
    end
    while count > 0 do
      none:clear()
      await none:wait()
    end
  end

  function handlers.cancel()
    for task in pairs(running) do task:cancel() end
    handlers.wait()
  end

  return handlers
end

async function Server:serve(handler)
  if type(handler) ~= "function" then
    core.misuse("serve", "handler must be a function, not " .. type(handler))
  end
  handler = async_of(handler)
  local handlers = new_handlers()
  local _ <close> = asyncio.defer(handlers.cancel)
  for conn in self:connections() do handlers.start(handler(conn), conn) end
  handlers.wait()
end

return net
