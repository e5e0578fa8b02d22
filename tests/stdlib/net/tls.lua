-- TLS: with ourselves and with OpenSSL's own client and server.

local net = require "neap.net"

-- == Certificates, made by the openssl command ==========================

local dir = os.tmpname()
os.remove(dir)
assert(os.execute("mkdir -m 700 " .. dir))
local remover <close> = asyncio.defer(function()
  os.execute("rm -rf " .. dir)
end)

local function openssl(form, ...)
  local command = ("cd %s && openssl %s 2>>log"):format(dir, form:format(...))
  assert(os.execute(command), command)
end

local function at(name) return dir .. "/" .. name end

local function text_of(name)
  local file <close> = assert(io.open(at(name)))
  return file:read "a"
end

local function authority(name)
  openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
    .. "-keyout %s.key -out %s.pem -days 30 -subj /CN=%s", name, name, name)
end

local function certificate(name, host, days, issuer)
  openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
    .. "-keyout %s.key -out csr -subj /CN=%s -addext subjectAltName=%s "
    .. ">/dev/null", name, name, host)
  openssl("x509 -req -in csr -CA %s.pem -CAkey %s.key -days %d -out %s.pem "
    .. "-copy_extensions copy", issuer or "ca", issuer or "ca", days or 30,
    name)
end

authority "ca"
authority "stranger"
certificate("good", "DNS:localhost,IP:127.0.0.1")
certificate("expired", "DNS:localhost", -1)
certificate("wrong", "DNS:elsewhere.example")
certificate("unknown", "DNS:localhost", 30, "stranger")
certificate("a", "DNS:a.example")
certificate("b", "DNS:*.b.example")
certificate("client", "DNS:client")
certificate("strange", "DNS:client", 30, "stranger")
certificate("between",
  "DNS:between -addext basicConstraints=critical,CA:TRUE")
certificate("middle", "DNS:localhost", 30, "between")

local function identity(name, more)
  local options = more or {}
  options.cert, options.key = at(name .. ".pem"), at(name .. ".key")
  return options
end

local trust = {ca = at "ca.pem"}

-- == Servers and clients of ours ========================================

local async function echo(conn)
  while true do
    local bytes = await conn:read()
    if not bytes then return end
    await conn:write(bytes)
  end
end

-- The same for those who end badly on purpose.
local async function patient(conn)
  pcall(function() await echo(conn) end)
end

-- Calls f(port) while a server with these TLS options runs `handler`.
local function with_server(options, f, handler)
  local server <close> = net.listen{tls = options}
  local serving = asyncio.create_task(server:serve(handler or echo))
  f(server:sockname().port)
  server:close()
  await serving
end

local function connect(port, options)
  return await net.connect("localhost", port, {tls = options or trust})
end

local function refused(code, reason, port, options)
  local e = expect_error(asyncio.TLSError, connect, port, options)
  equal(e.code, code)
  equal(e.message, ("connect localhost:%d: %s"):format(port, reason))
end

for _, size in ipairs {1, 100, 16384, 16385, 65536, 200000, 3000000} do
  test(("%d bytes come back"):format(size), async function()
    with_server(identity "good", function(port)
      local conn <close> = connect(port)
      local message = ("0123456789abc"):rep(size // 13 + 1):sub(1, size)
      for _ = 1, 2 do
        local writing = asyncio.create_task(conn:write(message))
        equal(await conn:read_exactly(size) == message, true)
        await writing
      end
    end)
  end)
end

test("buffers are read into and written", async function()
  local async function echo_buffer(conn)
    local buffer = net.buffer(10000)
    while await conn:read_into(buffer) do
      await conn:write(buffer)
      buffer:set "free" -- what is encrypted is a copy
    end
  end
  with_server(identity "good", function(port)
    local conn <close> = connect(port)
    local buffer = net.buffer(3000000)
    for i = 1, buffer:size() // 50000 do
      local part = ("%050d"):format(i):rep(1000)
      buffer:set(part)
      local writing = asyncio.create_task(conn:write(buffer, "-"))
      equal(await conn:read_exactly(50001) == part .. "-", true)
      await writing
    end
    await conn:shutdown()
    equal(await conn:read_into(buffer), nil)
    equal(#buffer, 0)
  end, echo_buffer)
end)

-- The client's first line comes together with the end of its handshake.
test("what comes with the handshake answers the read that began it",
     async function()
  local server <close> = net.listen{tls = identity "good"}
  local port = server:sockname().port
  local async function talk()
    local conn <close> = connect(port)
    await conn:write("hello\n")
    equal(await conn:read(), nil)
  end
  for _, name in ipairs {"read_line", "read_until", "read_exactly", "read"} do
    local argument = ({read_until = "\n", read_exactly = 6})[name]
    local talking = asyncio.create_task(talk())
    local conn <close> = await server:accept()
    equal((await conn[name](conn, argument)):match "%l+", "hello")
    await conn:shutdown()
    await talking
  end
end)

test("a write of many strings comes in one piece", async function()
  with_server(identity "good", function(port)
    local conn <close> = connect(port)
    local long = ("x"):rep(20000)
    await conn:write("a", 1, long, "b", long, "", "c\n")
    equal(await conn:read_line() == "a1" .. long .. "b" .. long .. "c", true)
  end)
end)

-- Longer than what is encrypted at once, and than what a socket takes.
test("long writes come whole, one after the other, cancelled or not",
    async function()
  local a, b = net.pair()
  local _ <close> = a
  local _ <close> = b
  local starting = asyncio.create_task(a:start_tls(identity("good",
    {server_side = true})))
  await b:start_tls{ca = at "ca.pem", server_hostname = "localhost"}
  await starting
  local buffer = net.buffer(300000):set(("b"):rep(300000))
  local parts = {("a"):rep(1000000), "", 7, ("c"):rep(262144),
    ("d"):rep(100000), ("e"):rep(200000)}
  local all = ("a"):rep(1000000) .. ("b"):rep(300000) .. "7" ..
    ("c"):rep(262144) .. ("d"):rep(100000) .. ("e"):rep(200000)
  local one = asyncio.create_task(a:write(parts[1], buffer,
    table.unpack(parts, 2)))
  local two = asyncio.create_task(a:write(("2"):rep(700000)))
  local three = asyncio.create_task(a:write "3")
  await asyncio.sleep(0)
  two:cancel()
  assert(await b:read_exactly(#all) == all)
  assert(await b:read_exactly(700000) == ("2"):rep(700000))
  equal(await b:read_exactly(1), "3")
  await one
  await three
  assert(two:cancelled())
end)

test("tls_info says what became of it", async function()
  with_server(identity "good", function(port)
    local conn <close> = connect(port)
    local info = conn:tls_info()
    equal(info.version, "TLSv1.3")
    equal(info.server_hostname, "localhost")
    equal(info.peer.subject, "CN=good")
    equal(info.peer.issuer, "CN=ca")
    assert(info.peer.pem:find "BEGIN CERTIFICATE")
    assert(info.peer.not_before <= os.time())
    assert(info.peer.not_after > os.time())
    equal(info.resumed, false)
    equal(info.alpn, nil)
  end)
  local a <close>, b = net.pair()
  local _ <close> = b
  equal(a:tls_info(), nil)
end)

test("both versions are spoken, and no other", async function()
  for _, version in ipairs {"1.2", "1.3"} do
    with_server(identity("good", {max_version = version}), function(port)
      local conn <close> = connect(port)
      equal(conn:tls_info().version, "TLSv" .. version)
      await conn:write("x")
      equal(await conn:read(), "x")
    end)
  end
  with_server(identity("good", {max_version = "1.2"}), function(port)
    local e = expect_error(asyncio.TLSError, connect, port,
      {ca = at "ca.pem", min_version = "1.3"})
    assert(e.message:find "alert protocol version", e.message)
  end)
end)

-- == Who is trusted =====================================================

test("a certificate that has expired is refused", async function()
  with_server(identity "expired", function(port)
    refused("CERT_HAS_EXPIRED",
      "certificate verify failed: certificate has expired", port)
  end)
end)

test("a certificate for another host is refused", async function()
  with_server(identity "wrong", function(port)
    refused("HOSTNAME_MISMATCH",
      "certificate verify failed: hostname mismatch", port)
    local conn <close> = connect(port,
      {ca = at "ca.pem", server_hostname = "elsewhere.example"})
    assert(conn:tls_info())
  end)
end)

test("a name may end in the dot of one that is complete", async function()
  with_server(identity "good", function(port)
    local conn <close> = connect(port,
      {ca = at "ca.pem", server_hostname = "localhost."})
    equal(conn:tls_info().server_hostname, "localhost")
  end)
end)

test("a certificate of an unknown issuer is refused", async function()
  with_server(identity "unknown", function(port)
    refused("UNKNOWN_ISSUER", "certificate verify failed: unable to get "
      .. "local issuer certificate", port)
    refused("UNKNOWN_ISSUER", "certificate verify failed: unable to get "
      .. "local issuer certificate", port, true)
  end)
end)

test("a certificate is trusted if it, or any above it, is in ca",
    async function()
  with_server(identity "middle", function(port)
    refused("UNKNOWN_ISSUER", "certificate verify failed: unable to get "
      .. "local issuer certificate", port)
    for _, name in ipairs {"between", "middle"} do
      local conn <close> = connect(port, {ca = at(name .. ".pem")})
      assert(conn:tls_info())
    end
  end)
  local chain = identity "middle"
  chain.cert = text_of "middle.pem" .. text_of "between.pem"
  with_server(chain, function(port)
    local conn <close> = connect(port)
    assert(conn:tls_info())
  end)
end)

test("a self-signed certificate is refused", async function()
  with_server(identity "stranger", function(port)
    refused("SELF_SIGNED_CERT",
      "certificate verify failed: self-signed certificate", port)
  end)
end)

test("verify=false trusts everybody", async function()
  for _, name in ipairs {"expired", "wrong", "unknown"} do
    with_server(identity(name), function(port)
      local conn <close> = connect(port, {verify = false})
      await conn:write("x")
      equal(await conn:read(), "x")
    end)
  end
end)

test("an address is looked for in the certificate too", async function()
  with_server(identity "good", function(port)
    local conn <close> = await net.connect("127.0.0.1", port, {tls = trust})
    equal(conn:tls_info().server_hostname, nil)
  end)
  with_server(identity "wrong", function(port)
    local e = expect_error(asyncio.TLSError, net.connect, "127.0.0.1", port,
      {tls = trust})
    equal(e.code, "IP_ADDRESS_MISMATCH")
  end)
end)

test("certificates may be given as text", async function()
  local options = {cert = text_of "good.pem" .. text_of "good.key"}
  with_server(options, function(port)
    local conn <close> = connect(port, {ca = text_of "ca.pem"})
    await conn:write("x")
    equal(await conn:read(), "x")
  end)
end)

test("a server may want certificates of its clients", async function()
  local subject
  local handler = async function(conn)
    local info = conn:tls_info()
    subject = info.peer and info.peer.subject
    await conn:write("hi")
  end
  local options = identity("good", {ca = at "ca.pem"})
  with_server(options, function(port)
    local conn <close> = connect(port, identity("client", {ca = at "ca.pem"}))
    equal(await conn:read_all(), "hi")
    equal(subject, "CN=client")
    -- A client learns of it when it reads: it has finished already.
    local without <close> = connect(port)
    local e = expect_error(asyncio.TLSError, without.read, without)
    assert(e.message:find "certificate required", e.message)
    local strange <close> = connect(port,
      identity("strange", {ca = at "ca.pem"}))
    e = expect_error(asyncio.TLSError, strange.read, strange)
    assert(e.message:find "unknown ca", e.message)
  end, handler)
  subject = nil
  options.verify = "optional"
  with_server(options, function(port)
    local conn <close> = connect(port)
    equal(await conn:read_all(), "hi")
    equal(subject, nil)
  end, handler)
end)

-- == Names, protocols, sessions =========================================

test("a server chooses its certificate by the name", async function()
  local options = identity("good", {
    sni = {["a.example"] = identity "a", ["*.b.example"] = identity "b"},
  })
  with_server(options, function(port)
    for host, subject in pairs {
      ["localhost"] = "CN=good", ["a.example"] = "CN=a",
      ["A.Example"] = "CN=a", ["x.b.example"] = "CN=b",
    } do
      local conn <close> = connect(port,
        {ca = at "ca.pem", server_hostname = host})
      equal(conn:tls_info().peer.subject, subject)
    end
    local e = expect_error(asyncio.TLSError, connect, port,
      {ca = at "ca.pem", server_hostname = "x.y.b.example"})
    equal(e.code, "HOSTNAME_MISMATCH")
  end)
end)

test("a name chooses a certificate, and nothing else", async function()
  openssl("req -newkey rsa:2048 -nodes -keyout rsa.key -out csr -subj /CN=rsa "
    .. "-addext subjectAltName=DNS:y.b.example >/dev/null")
  openssl "x509 -req -in csr -CA ca.pem -CAkey ca.key -out rsa.pem \z
    -copy_extensions copy"
  local options = identity("good", {
    ca = at "ca.pem", alpn = {"one", "two"},
    sni = {
      ["x.b.example"] = identity "a", ["*.b.example"] = identity "b",
      ["y.b.example"] = identity "rsa",
    },
  })
  local client
  with_server(options, function(port)
    for host, subject in pairs {
      ["z.b.example"] = "CN=b", ["y.b.example"] = "CN=rsa",
    } do
      local conn <close> = connect(port, identity("client", {
        ca = at "ca.pem", server_hostname = host, alpn = {"two"},
      }))
      equal(await conn:read_all(), "hi")
      local info = conn:tls_info()
      equal(info.peer.subject, subject)
      equal(info.alpn, "two")
      equal(client, "CN=client")
    end
    -- A name of its own comes before one for many.
    local e = expect_error(asyncio.TLSError, connect, port,
      {ca = at "ca.pem", server_hostname = "x.b.example"})
    equal(e.code, "HOSTNAME_MISMATCH")
  end, async function(conn)
    client = conn:tls_info().peer.subject
    await conn:write "hi"
  end)
end)

test("the server's first protocol that both have is chosen", async function()
  with_server(identity("good", {alpn = {"h2", "http/1.1"}}), function(port)
    local function chosen(names)
      local conn <close> = connect(port, {ca = at "ca.pem", alpn = names})
      return conn:tls_info().alpn
    end
    equal(chosen {"http/1.1", "h2"}, "h2")
    equal(chosen {"http/1.1"}, "http/1.1")
    equal(chosen {"other"}, nil)
    equal(chosen(nil), nil)
  end)
end)

test("sessions are resumed within a context", async function()
  for _, version in ipairs {"1.2", "1.3"} do
    with_server(identity("good", {max_version = version}), function(port)
      local context = net.tls_context(trust)
      for i = 1, 3 do
        local conn <close> = connect(port, context)
        equal(conn:tls_info().resumed, i > 1)
        await conn:write("x")
        equal(await conn:read(), "x")
      end
    end)
  end
end)

-- == How it ends ========================================================

test("the end is said and heard on both sides", async function()
  local heard
  with_server(identity "good", function(port)
    local conn <close> = connect(port)
    await conn:write("all")
    await conn:shutdown()
    equal(await conn:read_all(), "3 bytes")
  end, async function(conn)
    heard = await conn:read_all()
    await conn:write(#heard, " bytes")
  end)
  equal(heard, "all")
end)

test("close says so as well", async function()
  local seen = {}
  with_server(identity "good", function(port)
    local conn = connect(port)
    await conn:write("x")
    equal(await conn:read(), "x")
    conn:close()
  end, async function(conn)
    seen[1] = await conn:read()
    await conn:write(seen[1])
    seen[2] = tostring(await conn:read())
  end)
  equal(seen, {"x", "nil"})
end)

-- Gives the ends of a TLS connection over a pair, and the pair below them.
local function tls_pair(client, server)
  local a, b = net.pair()
  local starting = asyncio.create_task(b:start_tls(server
    or identity("good", {server_side = true})))
  await a:start_tls(client
    or {ca = at "ca.pem", server_hostname = "localhost"})
  await starting
  return a, b
end

-- Passes bytes on both ways until `stop` is true.
local function relay(port, stop)
  local server = net.listen{}
  local task = asyncio.create_task((async function()
    local one <close> = await server:accept()
    local two <close> = await net.connect("127.0.0.1", port)
    local async function pass(from, to)
      while true do
        local bytes = await from:read()
        if not bytes then return end
        await to:write(bytes)
      end
    end
    await asyncio.gather {pass(one, two), pass(two, one), stop:wait()}
  end)())
  return server, task
end

test("an end that TLS did not say is an error", async function()
  with_server(identity "good", function(port)
    local server <close>, task = relay(port, asyncio.Event())
    local conn <close> = await net.connect("localhost",
      server:sockname().port, {tls = trust})
    await conn:write("x")
    equal(await conn:read(), "x")
    task:cancel()
    await asyncio.wait {task}
    local e = expect_error(asyncio.TLSError, conn.read, conn)
    equal(e.code, "UNEXPECTED_EOF")
    local at = conn:peername()
    equal(e.message, ("read %s:%d: the peer ended without close_notify")
      :format(at.host, at.port))
  end, patient)
end)

-- == Later on the same stream ===========================================

test("start_tls turns any stream into TLS", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local serving = asyncio.create_task((async function()
    equal(await b:read_line(), "STARTTLS")
    await b:write("go\n")
    local same = await b:start_tls(identity("good", {server_side = true}))
    assert(same == b)
    await b:write("secret: ", await b:read_line(), "\n")
  end)())
  await a:write("STARTTLS\n")
  equal(await a:read_line(), "go")
  await a:start_tls{server_hostname = "localhost", ca = at "ca.pem"}
  await a:write("x\n")
  equal(await a:read_line(), "secret: x")
  await serving
end)

test("start_tls knows whom connect was told", async function()
  local server <close> = net.listen{host = "0.0.0.0"}
  local serving = asyncio.create_task(server:serve(async function(conn)
    await conn:start_tls(identity("good", {server_side = true}))
    await conn:write("secret")
    await conn:read_all()
  end))
  local port = server:sockname().port
  local conn <close> = await net.connect("localhost", port)
  await conn:start_tls(trust)
  equal(conn:tls_info().server_hostname, "localhost")
  equal(await conn:read(), "secret")
  await conn:shutdown()
  local other <close> = await net.connect("127.0.0.2", port)
  local e = expect_error(asyncio.TLSError, other.start_tls, other, trust)
  equal(e.code, "IP_ADDRESS_MISMATCH")
  server:close()
  await serving
end)

test("what was read ahead of start_tls belongs to TLS", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  await a:write("STARTTLS\n")
  local starting = asyncio.create_task(a:start_tls{
    server_hostname = "localhost", ca = at "ca.pem"})
  await asyncio.sleep(0.01)
  equal(await b:read_line(), "STARTTLS")
  await b:start_tls(identity("good", {server_side = true}))
  await starting
  await b:write("x")
  equal(await a:read(), "x")
end)

test("accept gives a stream that shakes hands when it is used",
    async function()
  local server <close> = net.listen{tls = identity "good"}
  local connecting = asyncio.create_task(net.connect("localhost",
    server:sockname().port, {tls = trust}))
  local conn <close> = await server:accept()
  equal(conn:tls_info(), nil)
  -- The writer and the reader both wait for it.
  local writing = asyncio.create_task(conn:write("from the server"))
  local reading = asyncio.create_task(conn:read())
  local client <close> = await connecting
  await writing
  await client:write("from the client")
  equal(await client:read(), "from the server")
  equal(await reading, "from the client")
  await conn:handshake()
end)

test("writes that wait for the handshake keep their order", async function()
  local server <close> = net.listen{tls = identity "good"}
  local serving = asyncio.create_task((async function()
    local conn <close> = await server:accept()
    local group <close> = asyncio.TaskGroup()
    for i = 1, 5 do group:create_task(conn:write(i, ";")) end
    group:create_task(conn:shutdown())
  end)())
  local conn <close> = connect(server:sockname().port)
  equal(await conn:read_all(), "1;2;3;4;5;")
  await serving
end)

test("shutdown shakes hands first, too", async function()
  local server <close> = net.listen{tls = identity "good"}
  local serving = asyncio.create_task((async function()
    local conn <close> = await server:accept()
    await conn:shutdown()
    return await conn:read_all()
  end)())
  do
    local conn <close> = connect(server:sockname().port)
    equal(await conn:read(), nil)
    await conn:write("heard")
  end
  equal(await serving, "heard")
end)

test("TLS works over a Unix socket", async function()
  local path = at "socket"
  local server <close> = net.listen{path = path, tls = identity "good"}
  local serving = asyncio.create_task(server:serve(echo))
  do
    local conn <close> = await net.connect{path = path, tls = trust,
      server_hostname = "localhost"}
    await conn:write("x")
    equal(await conn:read(), "x")
    expect_error("server_hostname is missing", net.connect,
      {path = path, tls = trust})
  end
  server:close()
  await serving
end)

-- == What goes wrong ====================================================

test("a peer that vanishes during the handshake is an error",
    async function()
  local server <close> = net.listen{}
  local port = server:sockname().port
  local accepting = asyncio.create_task((async function()
    for _, said in ipairs {"", "\22\3\3", "\21\3\3\0\2\1\0"} do
      local conn <close> = await server:accept()
      await conn:read()
      await conn:write(said)
    end
  end)())
  for _ = 1, 3 do
    refused("UNEXPECTED_EOF", "the peer ended during the handshake", port)
  end
  await accepting
end)

test("a stream that has ended gets no TLS any more", async function()
  local a <close>, b = net.pair()
  b:close()
  equal(await a:read(), nil)
  local e = expect_error(asyncio.TLSError, a.start_tls, a, {verify = false})
  equal(e.code, "UNEXPECTED_EOF")
  assert(a:closed())
end)

test("the error of a handshake names the peer", async function()
  local server <close> = net.listen{tls = identity "good"}
  local at = server:sockname()
  local raw <close> = await net.connect(at.host, at.port)
  await raw:write("no TLS")
  local conn <close> = await server:accept()
  local e = expect_error(asyncio.TLSError, conn.handshake, conn)
  local peer = raw:sockname()
  equal(e.message, ("handshake %s:%d: wrong version number"):format(
    peer.host, peer.port))
end)

test("a client that vanishes costs a server nothing", async function()
  with_server(identity "good", function(port)
    for _, said in ipairs {"", "\22\3\1", "GET / HTTP/1.0\r\n\r\n"} do
      local raw <close> = await net.connect("localhost", port)
      await raw:write(said)
    end
    local conn <close> = connect(port)
    await conn:write("x")
    equal(await conn:read(), "x")
  end)
end)

test("a peer that speaks no TLS is an error with OpenSSL's reason",
    async function()
  local server <close> = net.listen{}
  local port = server:sockname().port
  local serving = asyncio.create_task(server:serve(async function(conn)
    await conn:write("220 smtp.example ready\r\n")
    await conn:read()
  end))
  refused("WRONG_VERSION_NUMBER", "wrong version number", port)
  server:close()
  await serving
end)

test("a server that says nothing runs into the time limit", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  local e = expect_error(asyncio.TimeoutError, net.connect, at.host, at.port,
    {tls = true, timeout = 0.02})
  assert(e.message:find "^connect 127", e.message)
  local a <close>, b = net.pair()
  local _ <close> = b
  e = expect_error(asyncio.TimeoutError, a.start_tls, a,
    {server_hostname = "x", timeout = 0.02})
  equal(e.message, "start_tls: timed out")
  assert(a:closed())
end)

test("bytes that were changed on the way are noticed", async function()
  with_server(identity "good", function(port)
    local server <close> = net.listen{}
    local spoil = false
    local spoiling = asyncio.create_task((async function()
      local one <close> = await server:accept()
      local two <close> = await net.connect("127.0.0.1", port)
      local async function pass(from, to)
        while true do
          local bytes = await from:read()
          if not bytes then return end
          if spoil then bytes = bytes:sub(1, -2) .. "\0" end
          await to:write(bytes)
        end
      end
      local up = asyncio.create_task(pass(one, two))
      local down = asyncio.create_task(pass(two, one))
      await asyncio.wait {up, down}
    end)())
    local conn <close> = await net.connect("localhost",
      server:sockname().port, {tls = trust})
    await conn:write("x")
    equal(await conn:read(), "x")
    spoil = true
    await conn:write("x")
    local e = expect_error(asyncio.TLSError, conn.read, conn)
    assert(e.message:find "bad record mac", e.message)
    conn:close()
    await asyncio.wait {spoiling}
  end, patient)
end)

local function wrong(text, f, ...)
  local e = expect_error(text, f, ...)
  equal(type(e), "string")
  assert(e:find "^%S+%.lua:%d+: ", e)
end

test("wrong options are named, with the caller's line", async function()
  wrong("connect: tls must be true, a table or a TLSContext, not string",
    net.connect, "localhost", 1, {tls = "yes"})
  for _, name in ipairs {"ca", "cert", "key"} do
    wrong("tls_context: " .. name .. " has a NUL", net.tls_context,
      {[name] = "a\0b"})
  end
  wrong("connect: server_hostname has a NUL", net.connect, "localhost", 1,
    {tls = {server_hostname = "a\0b"}})
  wrong("connect: unknown option 'cacert'",
    net.connect, "localhost", 1, {tls = {cacert = "x"}})
  wrong("connect: verify must be true, false or 'optional'",
    net.connect, "localhost", 1, {tls = {verify = 1}})
  wrong("connect: alpn has no name of 1 to 255 bytes at 2",
    net.connect, "localhost", 1, {tls = {alpn = {"h2", ""}}})
  wrong("connect: key without cert",
    net.connect, "localhost", 1, {tls = {key = at "good.key"}})
  wrong("connect: min_version must be '1.2' or '1.3'",
    net.connect, "localhost", 1, {tls = {min_version = "1.1"}})
  wrong("listen: tls needs a cert", net.listen, {tls = true})
  wrong("listen: tls needs a cert", net.listen, {tls = {}})
  wrong("listen: server_side must be true here",
    net.listen, {tls = {server_side = false}})
  wrong("listen: sni must give {cert=, key=} for each name",
    net.listen, {tls = {sni = {"x"}}})
  wrong("connect: unknown option 'timeout'", net.connect, "localhost", 1,
    {tls = {timeout = 1}})
  wrong("listen: unknown option 'server_hostname'", net.listen,
    {tls = identity("good", {server_hostname = "x"})})
  wrong("tls_context: sni is for servers", net.tls_context, {sni = {}})
  wrong("tls_context: verify='optional' is for servers", net.tls_context,
    {verify = "optional"})
  wrong("listen: sni 'x': cert is missing",
    net.listen, {tls = identity("good", {sni = {x = {}}})})
  wrong("listen: tls needs a cert", net.listen, {tls = {sni = {}}})
  wrong("listen: alpn must be a list of names, and has a 'h2'",
    net.listen, {tls = identity("good", {alpn = {h2 = true}})})
  wrong("tls_context: min_version is above max_version", net.tls_context,
    {min_version = "1.3", max_version = "1.2"})
  wrong("listen: sni 'x': unknown option 'ca'",
    net.listen, {tls = {sni = {x = {ca = "y"}}}})
  wrong("listen: tls is a client's",
    net.listen, {tls = net.tls_context(trust)})
  wrong("tls_context: options must be a table, not nil", net.tls_context)
  local a <close>, b = net.pair()
  local _ <close> = b
  wrong("start_tls: server_hostname is missing", a.start_tls, a, {})
  wrong("start_tls: unknown option 'host'", a.start_tls, a, {host = "x"})
  wrong("start_tls: context must be a TLSContext", a.start_tls, a,
    {context = {}})
  local client = net.tls_context{verify = false}
  wrong("start_tls: alpn is given, and a context", a.start_tls, a,
    {context = client, alpn = {"x"}})
  wrong("start_tls: tls is a client's", a.start_tls, a,
    {context = client, server_side = true})
  wrong("start_tls: server_hostname is for clients", a.start_tls, a,
    identity("good", {server_side = true, server_hostname = "x"}))
  wrong("start_tls: options must be a table, not nil", a.start_tls, a)
  wrong("handshake: not a TLS stream", a.handshake, a)
  local e = expect_error(asyncio.OSError, net.listen,
    {tls = {cert = at "none"}})
  equal(e.message, ("listen: cert %s: no such file or directory"):format(
    at "none"))
  e = expect_error(asyncio.TLSError, net.listen, {tls = {
    cert = at "good.pem", key = at "a.key"}})
  equal(e.message, "listen: key: key values mismatch")
  e = expect_error(asyncio.TLSError, net.listen, {tls = {cert = at "good.pem"}})
  equal(e.message, "listen: key: there is no private key in it")
  e = expect_error(asyncio.TLSError, net.tls_context, {ca = at "a.key"})
  equal(e.message, "tls_context: ca: no start line")
end)

-- == The rule of closing ================================================

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

test("closing under a TLS read or write ends it", async function()
  local a <close>, b = tls_pair()
  local reading = asyncio.create_task(a:read())
  local writing = asyncio.create_task(a:write(("x"):rep(8 << 20)))
  turns(3)
  a:close()
  a:close()
  expect_error("was closed", function() await reading end)
  expect_error("was closed", function() await writing end)
  expect_error("is closed", a.read, a)
  expect_error("is closed", a.tls_info, a)
  b:close()
end)

test("closing under a handshake ends it", async function()
  local a, b = net.pair()
  local _ <close> = b
  local starting = asyncio.create_task(a:start_tls{
    server_hostname = "localhost"})
  turns(3)
  a:close()
  expect_error("was closed", function() await starting end)
end)

test("a handshake can be cancelled at each of its turns", async function()
  local server <close> = net.listen{tls = identity "good"}
  local serving = asyncio.create_task(server:serve(echo))
  for n = 0, 25 do
    local task = asyncio.create_task(net.connect("localhost",
      server:sockname().port, {tls = trust}))
    turns(n)
    task:cancel()
    await asyncio.wait {task}
    if not task:cancelled() then task:result():close() end
  end
  server:close()
  await serving
end)

test("a cancelled read loses nothing", async function()
  local a <close>, b = tls_pair()
  local _ <close> = b
  local reading = asyncio.create_task(a:read_exactly(10))
  await b:write("12345")
  turns(5)
  reading:cancel()
  await asyncio.wait {reading}
  await b:write("67890")
  equal(await a:read_exactly(10), "1234567890")
end)

test("a TLS stream that is collected is closed", async function()
  local a, b = tls_pair()
  local _ <close> = b
  local reading = asyncio.create_task(b:read())
  turns(1)
  a = nil
  for _ = 1, 3 do
    collectgarbage()
    turns(1)
  end
  equal(await reading, nil)
end)

local neap = os.getenv "NEAP" or "build/neap"

test("a machine may end with TLS in flight", async function()
  local path = at "program.lua"
  local file = assert(io.open(path, "w"))
  file:write(([[
    local net = require "neap.net"
    local d = %q
    local server = net.listen{tls = {cert = d .. "/good.pem",
      key = d .. "/good.key"}}
    local port = server:sockname().port
    local start = asyncio.create_task
    start(server:serve(async function(c) await c:read() end))
    local conn = await net.connect("localhost", port,
      {tls = {ca = d .. "/ca.pem"}})
    start(conn:read())
    start(conn:write(("x"):rep(1 << 24)))
    start(net.connect("localhost", port, {tls = true}))
    local a, b = net.pair()
    start(a:start_tls{server_hostname = "x"})
    for _ = 1, 3 do await asyncio.sleep(0) end
    print("ended")
  ]]):format(dir))
  file:close()
  local pipe = assert(io.popen(("%s %s 2>&1"):format(neap, path)))
  local output = pipe:read "a"
  assert(pipe:close())
  equal(output, "ended\n")
end)

test("what waits to be sent counts as memory of the machine",
    async function()
  local program = ([[
    local net = require "neap.net"
    local server <close> = net.listen{tls = {cert = %q, key = %q}}
    local big = ("x"):rep(16 << 20)
    local open, writes = {}, {}
    for i = 1, 10 do
      local connecting = asyncio.create_task(net.connect("127.0.0.1",
        server:sockname().port, {tls = {verify = false}}))
      local conn = await server:accept()
      await conn:handshake()
      open[i] = {conn, await connecting}
      local writing = asyncio.create_task(conn:write(big))
      await asyncio.sleep(0)
      await asyncio.sleep(0)
      if writing:done() then
        print((tostring(writing:exception()):gsub("^.-: ", "")))
        break
      end
      writes[i] = writing
    end
    -- A write that was refused has not broken its stream.
    local last, peer = table.unpack(table.remove(open))
    for i, ends in ipairs(open) do
      ends[1]:close()
      pcall(function() await writes[i] end)
    end
    local writing = asyncio.create_task(last:write(big))
    local sum, buffer = 0, net.buffer(65536)
    while sum < #big do sum = sum + await peer:read_into(buffer) end
    print(sum == #big)
    await writing
    os.exit(0)
  ]]):format(at "good.pem", at "good.key")
  local result = await require "neap.process".run{os.getenv "NEAP"
    or "build/neap", "--memory-limit=64M", "-e", program}
  equal(result.stdout, "not enough memory\ntrue\n")
  equal(result.status, 0)
end)

-- == OpenSSL's own client and server ====================================

-- Runs a command in the background; gives a file its output goes to.
local function background(command)
  local pid_file = at "pid"
  assert(os.execute(("cd %s && { %s & echo $! >%s; }"):format(dir, command,
    pid_file)))
  return (text_of("pid"):match "%d+")
end

local function free_port()
  local server <close> = net.listen{}
  return server:sockname().port
end

test("openssl s_server serves us", async function()
  for _, version in ipairs {"tls1_2", "tls1_3"} do
    local port = free_port()
    local pid = background(("openssl s_server -accept %d -cert good.pem "
      .. "-key good.key -CAfile ca.pem -Verify 1 -%s -rev -quiet "
      .. "</dev/null >server.log 2>&1"):format(port, version))
    local _ <close> = asyncio.defer(function() os.execute("kill " .. pid) end)
    local options = identity("client", {ca = at "ca.pem"})
    local ok, conn
    repeat
      ok, conn = pcall(connect, port, options)
      if not ok then await asyncio.sleep(0.02) end
    until ok
    local _ <close> = conn
    await conn:write("hello\n")
    equal(await conn:read_line(), "olleh")
    equal(conn:tls_info().version, "TLSv1." .. version:sub(-1))
  end
end)

test("openssl s_client is served by us", async function()
  with_server(identity "good", function(port)
    for _, version in ipairs {"tls1_2", "tls1_3"} do
      assert(io.open(at "client.log", "w")):close()
      -- It sends its input and then says close_notify.
      local pid = background(("{ echo hello; sleep 0.3; } | openssl s_client "
        .. "-connect 127.0.0.1:%d -CAfile ca.pem -verify_return_error -%s "
        .. "-servername localhost -quiet >client.log 2>/dev/null"):format(
        port, version))
      while text_of "client.log" == "" do await asyncio.sleep(0.02) end
      equal(text_of "client.log", "hello\n")
      os.execute("kill " .. pid .. " 2>/dev/null")
    end
  end)
end)

-- == Many ================================================================

local many = os.getenv "NEAP_TEST_GC" and 30 or 200

test(many .. " TLS connections at once", async function()
  with_server(identity "good", function(port)
    local context = net.tls_context(trust)
    local async function talk(i)
      local conn <close> = connect(port, context)
      for round = 1, 3 do
        local message = ("%d of connection %d\n"):format(round, i)
        await conn:write(message)
        equal(await conn:read_exactly(#message), message)
      end
    end
    local talks = {}
    for i = 1, many do talks[i] = talk(i) end
    await asyncio.gather(talks)
  end)
end)
