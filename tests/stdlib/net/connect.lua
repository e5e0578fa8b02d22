-- Connecting, names and settings of sockets, and finding addresses.

local net = require "neap.net"

-- What raises for a mistake in the call.
local function wrong(text, f, ...)
  local e = expect_error(text, f, ...)
  equal(type(e), "string")
  assert(e:find "^%S+%.lua:%d+: ", e)
end

-- A port on which nobody listens.
local function free_port()
  local server <close> = net.listen{}
  return server:sockname().port
end

test("both ends know each other's names", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  equal(at.host, "127.0.0.1")
  local a <close> = await net.connect(at.host, at.port)
  local b <close> = await server:accept()
  equal(a:peername(), at)
  equal(b:sockname(), at)
  equal(a:sockname(), b:peername())
end)

test("connect takes a name, or a table", async function()
  local server <close> = net.listen{}
  local port = server:sockname().port
  local a <close> = await net.connect("localhost", port, {timeout = 5})
  local b <close> = await net.connect{host = "127.0.0.1", port = port}
  local c <close> = await net.connect("127.0.0.1", port,
    {nodelay = false, timeout = math.huge})
  equal(a:peername().port, port)
end)

test("a refused connection is an OSError that says where", async function()
  local port = free_port()
  local e = expect_error(asyncio.OSError, net.connect, "127.0.0.1", port)
  equal(e.code, "ECONNREFUSED")
  equal(e.message,
    ("connect 127.0.0.1:%d: connection refused"):format(port))
end)

test("an error has the line that awaited", async function()
  local port = free_port()
  local ok, e = pcall(function()
    await net.connect("127.0.0.1", port)
  end)
  local line = debug.getinfo(1, "l").currentline - 2
  assert(not ok)
  assert(tostring(e):find(("connect.lua:%d: connect"):format(line), 1, true),
    tostring(e))
end)

test("a peer that does not answer is a TimeoutError", async function()
  local server <close> = net.listen{backlog = 1}
  local at = server:sockname()
  local conns = {}
  local ok, e
  repeat -- until the backlog is full
    ok, e = pcall(function()
      return await net.connect(at.host, at.port, {timeout = 0.1})
    end)
    conns[#conns + 1] = ok and e or nil
  until not ok or #conns > 20
  assert(asyncio.iserror(e, asyncio.TimeoutError), tostring(e))
  equal(e.message, ("connect 127.0.0.1:%d: timed out"):format(at.port))
  for _, conn in ipairs(conns) do conn:close() end
end)

test("wrong arguments are named, with the caller's line", async function()
  wrong("connect: port must be from 1 to 65535, not 70000",
    net.connect, "127.0.0.1", 70000)
  wrong("connect: port must be from 1 to 65535, not 0",
    net.connect, "127.0.0.1", 0)
  wrong("connect: port must be from 1 to 65535, not 1.5",
    net.connect, "127.0.0.1", 1.5)
  wrong("connect: port must be an integer, not string",
    net.connect, "127.0.0.1", "80")
  wrong("connect: port must be an integer, not nil",
    net.connect, "127.0.0.1")
  wrong("connect: host is empty", net.connect, "", 80)
  wrong("connect: host has a NUL", net.connect, "a\0b", 80)
  wrong("connect: host must be a string, not nil", net.connect)
  wrong("connect: host must be a string, not number", net.connect, 5, 80)
  wrong("connect: unknown option 'colour'",
    net.connect, "127.0.0.1", 80, {colour = 1})
  wrong("connect: timeout must be a number, not string",
    net.connect, "127.0.0.1", 80, {timeout = "1"})
  wrong("connect: timeout must be at least 0",
    net.connect, "127.0.0.1", 80, {timeout = -1})
  wrong("connect: nodelay must be a boolean, not number",
    net.connect, "127.0.0.1", 80, {nodelay = 1})
  wrong("connect: options must be a table, not number",
    net.connect, "127.0.0.1", 80, 5)
  wrong("connect: path has a NUL", net.connect, {path = "a\0b"})
  wrong("connect: path is empty", net.connect, {path = ""})
  wrong("connect: path is longer than 107 bytes",
    net.connect, {path = ("x"):rep(108)})
  wrong("connect: port and path exclude each other",
    net.connect, {path = "x", port = 1})
  wrong("connect: path and host exclude each other",
    net.connect, "127.0.0.1", 1, {path = "x"})
  wrong("resolve: host is empty", net.resolve, "")
  wrong("resolve: host must be a string, not nil", net.resolve)
end)

test("connect takes nothing in vain", async function()
  wrong("connect: unknown option 'host'", net.connect, "127.0.0.1", 1,
    {host = "::1"})
  wrong("connect: server_hostname without tls", net.connect, "127.0.0.1", 1,
    {server_hostname = "a.example"})
  wrong("connect: server_hostname without tls", net.connect,
    {path = "/nowhere", server_hostname = "a.example"})
end)

test("a mistake has the line of the call", async function()
  local ok, e = pcall(function()
    await net.connect("127.0.0.1", 70000)
  end)
  local line = debug.getinfo(1, "l").currentline - 2
  assert(not ok)
  assert(e:find(("connect.lua:%d: connect: port"):format(line), 1, true), e)
end)

test("a Unix socket that is not there is an OSError", async function()
  local path = os.tmpname()
  os.remove(path)
  local e = expect_error(asyncio.OSError, net.connect, {path = path})
  equal(e.code, "ENOENT")
  equal(e.message, ("connect %s: no such file or directory"):format(path))
end)

test("the ends of a pair have no names", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  equal(a:peername(), {path = ""})
  equal(b:sockname(), {path = ""})
end)

test("nodelay and keepalive can be set on TCP alone", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  local a <close> = await net.connect(at.host, at.port)
  a:set_nodelay(false)
  a:set_nodelay(true)
  a:set_keepalive(true)
  a:set_keepalive(true, 5)
  a:set_keepalive(false)
  wrong("set_nodelay: on must be a boolean, not no value", a.set_nodelay, a)
  wrong("set_keepalive: seconds must be at least 1",
    a.set_keepalive, a, true, 0)
  local b <close>, c = net.pair()
  local _ <close> = c
  wrong("set_nodelay: not a TCP stream", b.set_nodelay, b, true)
  wrong("set_keepalive: not a TCP stream", b.set_keepalive, b, true)
end)

test("an address of the other family is none", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  local e = expect_error(asyncio.DNSError, net.connect, at.host, at.port,
    {family = 6})
  equal(e.code, "EAI_NODATA")
  local conn <close> = await net.connect(at.host, at.port, {family = 4})
end)

test("an address resolves to itself", async function()
  equal(await net.resolve("127.0.0.1"), {"127.0.0.1"})
  equal(await net.resolve("::1"), {"::1"})
end)

test("localhost is this machine, whatever anybody says", async function()
  equal(await net.resolve("localhost"), {"127.0.0.1", "::1"})
  equal(await net.resolve("LocalHost.", {family = 4}), {"127.0.0.1"})
  equal(await net.resolve("app.localhost", {type = "AAAA"}), {"::1"})
end)

test("several names can be resolved at once", async function()
  local asked = {}
  for i = 1, 20 do asked[i] = net.resolve("localhost") end
  for _, found in ipairs(await asyncio.gather(asked)) do
    assert(#found > 0)
  end
end)

test("a name that cannot be is a DNSError", async function()
  local e = expect_error(asyncio.DNSError, net.resolve, ("x"):rep(64) .. ".a")
  assert(tostring(e):find("resolve xxx", 1, true), tostring(e))
  assert(asyncio.iserror(e, asyncio.OSError))
end)

-- == Several addresses (RFC 8305) =======================================

-- Runs f while every name has these addresses.
local function with_addresses(addresses, f)
  local resolve = net.resolve
  local _ <close> = asyncio.defer(function() net.resolve = resolve end)
  net.resolve = async function(_, options)
    local found = {}
    for _, address in ipairs(addresses) do
      local family = address:find(":", 1, true) and 6 or 4
      if family == options.family then found[#found + 1] = address end
    end
    return found
  end
  f()
end

-- A server whose backlog is full: who connects hears nothing.
local function with_deaf_server(f)
  local server <close> = net.listen{host = "127.0.0.2", backlog = 1}
  local at, filling = server:sockname(), {}
  repeat -- until one is left waiting
    local task = asyncio.create_task(net.connect(at.host, at.port))
    filling[#filling + 1] = task
    await asyncio.wait({task}, {timeout = 0.05})
  until not task:done()
  f(at.port)
  for _, task in ipairs(filling) do task:cancel() end
  await asyncio.wait(filling)
  for _, task in ipairs(filling) do
    if not task:cancelled() then task:result():close() end
  end
end

test("an address that refuses gives way to the next at once",
    async function()
  local server <close> = net.listen{}
  local port = server:sockname().port
  with_addresses({"127.0.0.3", "::1", "127.0.0.1"}, function()
    local conn <close> = await net.connect("name", port)
    equal(conn:peername().host, "127.0.0.1")
  end)
end)

test("an address that does not answer loses the race", async function()
  with_deaf_server(function(port)
    local ok, server = pcall(net.listen, {port = port})
    if not ok then return end -- somebody else has this port
    local _ <close> = server
    with_addresses({"127.0.0.2", "127.0.0.1"}, function()
      local conn <close> = await net.connect("name", port, {timeout = 5})
      equal(conn:peername().host, "127.0.0.1")
    end)
  end)
end)

test("the race ends at the time limit, or when it is cancelled",
    async function()
  with_deaf_server(function(port)
    with_addresses({"127.0.0.2", "127.0.0.2"}, function()
      expect_error(asyncio.TimeoutError, net.connect, "name", port,
        {timeout = 0.05})
      local task = asyncio.create_task(net.connect("name", port))
      for _ = 1, 10 do await asyncio.sleep(0) end
      task:cancel()
      await asyncio.wait {task}
      assert(task:cancelled())
    end)
  end)
end)

test("if all addresses fail, the last error is raised", async function()
  local server = net.listen{}
  local port = server:sockname().port
  server:close()
  with_addresses({"127.0.0.2", "127.0.0.1"}, function()
    local e = expect_error(asyncio.OSError, net.connect, "name", port)
    equal(e.message, ("connect 127.0.0.1:%d: connection refused"):format(port))
  end)
end)

test("a name without addresses is an error", async function()
  with_addresses({}, function()
    expect_error(asyncio.OSError, net.connect, "name", 80)
  end)
end)
