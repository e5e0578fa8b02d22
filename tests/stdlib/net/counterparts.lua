-- Programs that others wrote, on the other side: nc, socat, curl, dnsmasq.
-- (openssl is in tls.lua.)

local net = require "neap.net"
local fs = require "neap.fs"
local process = require "neap.process"

local function has(program)
  return os.execute("PATH=$PATH:/usr/sbin command -v " .. program ..
    " >/dev/null 2>&1")
end

-- A test that needs a program, or says that it is not there.
local function test_with(program, title, f)
  title = program .. " " .. title
  if has(program) then test(title, f) else skip(title, "not installed") end
end

local async function echo(conn)
  for part in function() return await conn:read() end do
    await conn:write(part)
  end
end

-- Calls f(port) while a server runs the handler.
local function with_server(handler, f)
  local server <close> = net.listen{}
  local serving = asyncio.create_task(server:serve(handler))
  f(server:sockname().port)
  server:close()
  await serving
end

local function free_port()
  local server <close> = net.listen{}
  return server:sockname().port
end

-- Connects as soon as somebody listens.
local function connect(...)
  while true do
    local arguments = {...}
    local ok, conn = pcall(function()
      return await net.connect(table.unpack(arguments))
    end)
    if ok then return conn end
    await asyncio.sleep(0.01)
  end
end

local text <const> = ("0123456789\n"):rep(100000)

-- == nc ==================================================================

test_with("nc", "gets back what it sent us", async function()
  with_server(echo, function(port)
    local result = await process.run(
      {"nc", "-N", "127.0.0.1", tostring(port)}, {input = text})
    assert(result.stdout == text)
    equal(result.status, 0)
  end)
end)

test_with("nc", "serves us", async function()
  local port = free_port()
  local child <close> = process.spawn(
    {"nc", "-N", "-l", "127.0.0.1", tostring(port)},
    {stdin = "pipe", stdout = "pipe"})
  local conn <close> = connect("127.0.0.1", port)
  await conn:write("hello\n")
  equal(await child.stdout:read_line(), "hello")
  await child.stdin:write("good day\n")
  equal(await conn:read_line(), "good day")
  child.stdin:close()
  equal(await conn:read(), nil)
end)

-- == socat ===============================================================

test_with("socat", "echoes what we send", async function()
  local port = free_port()
  local child <close> = process.spawn({"socat", "-b", "1000",
    ("TCP-LISTEN:%d,bind=127.0.0.1,reuseaddr,fork"):format(port), "PIPE"},
    {new_group = true})
  local conn <close> = connect("127.0.0.1", port)
  local writing = asyncio.create_task((async function()
    await conn:write(text)
    await conn:shutdown()
  end)())
  assert(await conn:read_all() == text)
  await writing
  child:kill "SIGTERM"
  await child:wait()
end)

test_with("socat", "talks over a Unix socket", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "socket"
  local server <close> = net.listen{path = path}
  local serving = asyncio.create_task(server:serve(echo))
  local result = await process.run({"socat", "-t", "60", "-",
    "UNIX-CONNECT:" .. path}, {input = text})
  assert(result.stdout == text)
  server:close()
  await serving

  local child <close> = process.spawn({"socat", "UNIX-LISTEN:" .. path,
    "PIPE"})
  local conn <close> = connect{path = path}
  await conn:write("x")
  equal(await conn:read(), "x")
end)

test_with("socat", "resets a connection, which is told", async function()
  local begun, got = asyncio.Event(), asyncio.Future()
  with_server(async function(conn)
    equal(await conn:read_line(), "line")
    begun:set()
    local ok, e = pcall(function() return await conn:read() end)
    got:set_result(e)
  end, function(port)
    local child <close> = process.spawn(
      {"socat", "-", ("TCP:127.0.0.1:%d,linger=0"):format(port)},
      {stdin = "pipe", stdout = "null"})
    await child.stdin:write("line\n")
    await begun:wait()
    child:kill "SIGKILL" -- with the linger time 0 its close is a reset
    local e = await got
    equal(e.code, "ECONNRESET")
    assert(e.message:find "^read 127%.0%.0%.1:%d+: connection reset by peer$",
      e.message)
  end)
end)

-- == curl ================================================================

local async function serve_http(conn)
  local head = await conn:read_until "\r\n\r\n"
  local path = head:match "^GET (%S+) HTTP/1%.1\r\n"
  local body = path == "/big" and text or "you asked for " .. path .. "\n"
  await conn:write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ",
    #body, "\r\n\r\n", body)
end

test_with("curl", "fetches what we serve", async function()
  with_server(serve_http, function(port)
    local at = "http://127.0.0.1:" .. port
    local result = await process.run {"curl", "-s", at .. "/page"}
    equal(result.stdout, "you asked for /page\n")
    result = await process.run {"curl", "-s", at .. "/big"}
    assert(result.stdout == text)
  end)
end)

test_with("curl", "reads slowly, and gets all", async function()
  with_server(serve_http, function(port)
    local result = await process.run {"curl", "-s", "--limit-rate", "4M",
      ("http://127.0.0.1:%d/big"):format(port)}
    assert(result.stdout == text)
  end)
end)

test_with("curl", "fetches over TLS, and trusts our certificate alone",
    async function()
  if not has "openssl" then return end
  local dir <close> = await fs.temp_dir()
  local cert = dir:path "cert.pem"
  await process.run({"openssl", "req", "-x509", "-nodes", "-days", "1",
    "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
    "-keyout", dir:path "key.pem", "-out", cert}, {check = true})
  local server <close> = net.listen{
    tls = {cert = cert, key = dir:path "key.pem", alpn = {"http/1.1"}}}
  local serving = asyncio.create_task(server:serve(serve_http))
  local url = ("https://localhost:%d/big"):format(server:sockname().port)
  local result = await process.run {"curl", "-s", "--cacert", cert, url}
  assert(result.stdout == text)
  -- 60: not trusted; 77: the system has no certificates at all
  local status = (await process.run {"curl", "-s", url}).status
  assert(status == 60 or status == 77, status)
  server:close()
  await serving
end)

-- == dnsmasq =============================================================

-- Runs f(options) while dnsmasq answers for example.test.
local function with_dnsmasq(f)
  local port = free_port()
  local user = (await process.run {"id", "-un"}).stdout:match "%S+"
  local child <close> = process.spawn({"dnsmasq", "--no-daemon",
    "--conf-file=/dev/null", "--user=" .. user, "--pid-file=", "--no-resolv",
    "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1",
    "--port=" .. port, "--host-record=host.example.test,192.0.2.7,2001:db8::7",
    "--address=/loop.example.test/127.0.0.1",
    "--mx-host=example.test,mail.example.test,10",
    "--mx-host=example.test,other.example.test,5",
    "--srv-host=_http._tcp.example.test,host.example.test,8080,1,2",
    "--txt-record=example.test,some text",
    "--local=/example.test/",
  }, {stderr = "null", env = {PATH = os.getenv "PATH" .. ":/usr/sbin"}})
  local function options(more)
    more = more or {}
    more.servers = {"127.0.0.1:" .. port}
    return more
  end
  -- Until it listens, the question is refused.
  repeat
    local ok = pcall(function()
      await net.resolve("host.example.test", options{timeout = 1})
    end)
    if not ok then await asyncio.sleep(0.01) end
  until ok
  f(options)
end

test_with("dnsmasq", "answers us", async function()
  with_dnsmasq(function(with)
    local found = await net.resolve("host.example.test", with())
    table.sort(found)
    equal(found, {"192.0.2.7", "2001:db8::7"})
    equal(await net.resolve("example.test", with{type = "MX"}), {
      {host = "other.example.test", priority = 5},
      {host = "mail.example.test", priority = 10}})
    equal(await net.resolve("_http._tcp.example.test", with{type = "SRV"}), {
      {host = "host.example.test", port = 8080, priority = 1, weight = 2}})
    equal(await net.resolve("example.test", with{type = "TXT"}),
      {"some text"})
    equal(await net.resolve("192.0.2.7", with{type = "PTR"}),
      {"host.example.test"})
    local e = expect_error(asyncio.DNSError, net.resolve, "no.example.test",
      with())
    equal(e.code, "EAI_NONAME")
    with_server(echo, function(port)
      local conn <close> = await net.connect("loop.example.test", port,
        with())
      await conn:write("x")
      equal(await conn:read(), "x")
    end)
  end)
end)
