-- Datagrams: their limits, groups, and the rule of closing.

local net = require "neap.net"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

local function wrong(text, f, ...)
  local e = expect_error(text, f, ...)
  equal(type(e), "string")
  assert(e:find "^%S+%.lua:%d+: ", e)
end

local function local_udp(more)
  local options = more or {}
  options.host = options.host or "127.0.0.1"
  return net.udp(options)
end

test("a datagram comes with the address of its sender", async function()
  local a <close> = local_udp()
  local b <close> = local_udp()
  local at = a:sockname()
  await b:send("hello", at.host, at.port)
  local data, from = await a:recv()
  equal(data, "hello")
  equal(from, b:sockname())
end)

test("datagrams keep their borders, empty ones too", async function()
  local a <close> = local_udp()
  local b <close> = local_udp()
  local at = a:sockname()
  local sent = {"", "x", ("y"):rep(1400), ("z"):rep(65507), "", 17}
  for _, data in ipairs(sent) do
    await b:send(data, at.host, at.port)
    equal(await a:recv(), tostring(data))
  end
  local e = expect_error(asyncio.OSError, b.send, b, ("x"):rep(65508),
    at.host, at.port)
  equal(e.code, "EMSGSIZE")
end)

test("a task waits for a datagram", async function()
  local a <close> = local_udp()
  local b <close> = local_udp()
  local at = a:sockname()
  local receiving = asyncio.create_task((async function()
    local all = {}
    for i = 1, 200 do all[i] = await a:recv() end
    return table.concat(all, " ")
  end)())
  local sent = {}
  for i = 1, 200 do
    sent[i] = tostring(i)
    await b:send(sent[i], at.host, at.port)
    if i % 7 == 0 then await asyncio.sleep(0) end
  end
  equal(await receiving, table.concat(sent, " "))
end)

test("a connected socket hears its peer alone", async function()
  local a <close> = local_udp()
  local stranger <close> = local_udp()
  local at = a:sockname()
  local b <close> = net.udp{remote_host = at.host, remote_port = at.port}
  equal(b:peername(), at)
  local other = stranger:sockname()
  expect_error("send: host is given, and the socket is connected", b.send, b,
    "x", other.host, other.port)
  await b:send("1")
  local _, from = await a:recv()
  await stranger:send("not for you", from.host, from.port)
  await a:send("2", from.host, from.port)
  equal(await b:recv(), "2")
end)

test("a connected socket learns that nobody is there", async function()
  local gone = local_udp()
  local at = gone:sockname()
  gone:close()
  local b <close> = net.udp{remote_host = at.host, remote_port = at.port}
  await b:send("x")
  local e = expect_error(asyncio.OSError, b.recv, b)
  equal(e.code, "ECONNREFUSED")
  equal(e.message, "recv: connection refused")
end)

test("a host may be a name", async function()
  local a <close> = net.udp{host = "localhost"}
  local b <close> = net.udp{host = a:sockname().host}
  await b:send("x", "localhost", a:sockname().port)
  equal(await a:recv(), "x")
end)

test("a name is sent to in the family of the socket", async function()
  local ok, a = pcall(net.udp, {host = "::1"})
  if not ok then return end -- there may be no IPv6 here
  local _ <close> = a
  local port = a:sockname().port
  local b <close> = net.udp{host = "::"}
  await b:send("x", "localhost", port)
  equal(await a:recv(), "x")
  local c <close> = net.udp{host = "::1", remote_host = "localhost",
    remote_port = port}
  equal(c:peername().host, "::1")
  local d <close> = net.udp{remote_host = "localhost", remote_port = port}
  equal(d:peername().host, "127.0.0.1")
end)

test("IPv6 works as well", async function()
  local ok, a = pcall(net.udp, {host = "::1"})
  if not ok then return end -- there may be no IPv6 here
  local _ <close> = a
  local b <close> = net.udp{remote_host = "::1",
    remote_port = a:sockname().port}
  await b:send("x")
  local _, from = await a:recv()
  equal(from.host, "::1")
  a:set_ttl(5)
  a:set_multicast_ttl(5)
  a:set_multicast_ttl(0)
  expect_error("hops must be at least 1, not 0", a.set_ttl, a, 0)
  a:set_multicast_loop(false)
end)

test("a group can be joined and left", async function()
  local group = "239.255.77.1"
  local a <close> = net.udp{host = "0.0.0.0", reuse_address = true}
  a:join(group, "127.0.0.1")
  local e = expect_error(asyncio.OSError, a.join, a, group, "127.0.0.1")
  equal(e.code, "EADDRINUSE")
  local b <close> = local_udp()
  b:set_multicast_ttl(1)
  b:set_multicast_loop(true)
  b:set_multicast_interface("127.0.0.1")
  await b:send("to all", group, a:sockname().port)
  equal(await a:recv(), "to all")
  a:leave(group, "127.0.0.1")
  expect_error(asyncio.OSError, a.leave, a, group, "127.0.0.1")
end)

test("broadcasting must be allowed first", async function()
  local a <close> = local_udp()
  local e = expect_error(asyncio.OSError, a.send, a, "x",
    "255.255.255.255", 9)
  assert(e.code == "EACCES" or e.code == "ENETUNREACH", e.code)
  assert(e.message:find "^send 255.255.255.255:9: ", e.message)
  local b <close> = net.udp{broadcast = true}
  pcall(function() await b:send("x", "255.255.255.255", 9) end)
  a:set_broadcast(true)
  a:set_broadcast(false)
end)

test("several sockets may share a port if all want it", async function()
  local a <close> = local_udp{reuse_port = true}
  local port = a:sockname().port
  local b <close> = local_udp{reuse_port = true, port = port}
  local e = expect_error(asyncio.OSError, local_udp, {port = port})
  equal(e.message, ("udp 127.0.0.1:%d: address already in use"):format(port))
end)

test("two tasks cannot receive at once", async function()
  local a <close> = local_udp()
  local first = asyncio.create_task(a:recv())
  turns(1)
  expect_error("another task is receiving", a.recv, a)
  first:cancel()
  await asyncio.wait {first}
end)

test("closing twice is harmless, and a closed one refuses everything",
    async function()
  local a = local_udp()
  a:close()
  a:close()
  assert(a:closed())
  expect_error("is closed", a.recv, a)
  expect_error("is closed", a.send, a, "x", "127.0.0.1", 9)
  expect_error("is closed", a.sockname, a)
  expect_error("is closed", a.join, a, "239.0.0.1")
end)

test("closing under a recv ends it", async function()
  local a = local_udp()
  local receiving = asyncio.create_task(a:recv())
  turns(2)
  a:close()
  local e = expect_error("was closed", function() await receiving end)
  equal(e.code, "ECLOSED")
end)

test("a cancelled recv loses nothing", async function()
  local a <close> = local_udp()
  local b <close> = local_udp()
  local at = a:sockname()
  for n = 0, 4 do
    local receiving = asyncio.create_task(a:recv())
    turns(n)
    receiving:cancel()
    await asyncio.wait {receiving}
  end
  await b:send("kept", at.host, at.port)
  equal(await a:recv(), "kept")
end)

test("one that is collected is closed", async function()
  local a = local_udp()
  local port = a:sockname().port
  a = nil
  for _ = 1, 3 do
    collectgarbage()
    turns(1)
  end
  local b <close> = local_udp{port = port}
end)

test("wrong arguments are named, with the caller's line", async function()
  wrong("udp: unknown option 'address'", net.udp, {address = "x"})
  wrong("udp: port must be from 0 to 65535, not 70000", net.udp,
    {port = 70000})
  wrong("udp: host is empty", net.udp, {host = ""})
  wrong("udp: remote_port is missing", net.udp, {remote_host = "127.0.0.1"})
  wrong("udp: options must be a table, not number", net.udp, 5)
  local a <close> = local_udp()
  wrong("send: data must be a string, not nil", a.send, a)
  wrong("send: port must be an integer, not nil", a.send, a, "x", "127.0.0.1")
  wrong("send: host must be a string, not nil", a.send, a, "x", nil, 5)
  wrong("join: group must be an address", a.join, a, "::1")
  wrong("set_ttl: hops must be at least 1, not 0", a.set_ttl, a, 0)
  wrong("set_broadcast: on must be a boolean, not n", a.set_broadcast, a)
  local e = expect_error(asyncio.OSError, a.send, a, "x")
  equal(e.code, "EDESTADDRREQ")
end)

local neap = os.getenv "NEAP" or "build/neap"

test("a machine may end while somebody receives", async function()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write [[
    local net = require "neap.net"
    local a = net.udp{}
    asyncio.create_task(a:recv())
    await asyncio.sleep(0)
    print("ended")
  ]]
  file:close()
  local pipe = assert(io.popen(("%s %s 2>&1"):format(neap, path)))
  equal(pipe:read "a", "ended\n")
  assert(pipe:close())
  os.remove(path)
end)

test("socat answers a datagram", async function()
  if not os.execute "command -v socat >/dev/null 2>&1" then return end
  local a <close> = local_udp()
  local at = a:sockname()
  local pipe = assert(io.popen(("echo from socat | socat - UDP:%s:%d"):format(
    at.host, at.port), "r"))
  local data, from = await a:recv()
  equal(data, "from socat\n")
  await a:send("to socat\n", from.host, from.port)
  equal(pipe:read "l", "to socat")
  pipe:close()
end)
