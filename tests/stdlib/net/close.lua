-- The rule of closing, for streams and servers.

local net = require "neap.net"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

local function collect()
  for _ = 1, 3 do
    collectgarbage()
    await asyncio.sleep(0)
  end
end

local big = ("x"):rep(8 << 20)

test("closing twice is harmless", async function()
  local a <close>, b = net.pair()
  assert(not b:closed())
  b:close()
  b:close()
  assert(b:closed())
  local server = net.listen{}
  server:close()
  server:close()
  assert(server:closed())
end)

test("a closed stream refuses everything", async function()
  local a <close>, b = net.pair()
  b:close()
  for _, name in ipairs {
    "read", "read_line", "read_all", "write", "shutdown",
    "peername", "sockname",
  } do
    expect_error("is closed", b[name], b)
  end
  expect_error("is closed", b.read_exactly, b, 1)
  expect_error("is closed", b.read_until, b, "x")
end)

test("a closed server refuses everything", async function()
  local server = net.listen{}
  server:close()
  expect_error("is closed", server.accept, server)
  expect_error("is closed", server.sockname, server)
  for _ in server:connections() do error("not reached") end
end)

test("closing under a read ends it", async function()
  for name, argument in pairs {
    read = 10, read_exactly = 5, read_line = 80, read_until = "\n",
  } do
    local a <close>, b = net.pair()
    local reading = asyncio.create_task(b[name](b, argument))
    turns(2)
    b:close()
    local e = expect_error("was closed", function() await reading end)
    assert(tostring(e):find(name .. ": ", 1, true), tostring(e))
  end
end)

test("closing under a write ends it", async function()
  local a <close>, b = net.pair()
  local writing = asyncio.create_task(b:write(big))
  local second = asyncio.create_task(b:write("x"))
  turns(2)
  b:close()
  expect_error("was closed", function() await writing end)
  expect_error("was closed", function() await second end)
end)

test("closing under a shutdown ends it", async function()
  local a <close>, b = net.pair()
  local writing = asyncio.create_task(b:write(big))
  turns(2)
  local ending = asyncio.create_task(b:shutdown())
  turns(2)
  b:close()
  expect_error("was closed", function() await writing end)
  expect_error("was closed", function() await ending end)
end)

test("closing under accept ends it", async function()
  local server = net.listen{}
  local accepting = asyncio.create_task(server:accept())
  turns(2)
  server:close()
  local e = expect_error("was closed", function() await accepting end)
  assert(tostring(e):find "accept: ", tostring(e))
end)

test("closing under connections ends the loop", async function()
  local server = net.listen{}
  local n = 0
  local looping = asyncio.create_task((async function()
    for _ in server:connections() do n = n + 1 end
    return "ended"
  end)())
  turns(2)
  server:close()
  equal(await looping, "ended")
  equal(n, 0)
end)

test("the end of a scope closes", async function()
  local a, b, server
  do
    local one <close>, two = net.pair()
    local _ <close> = two
    local three <close> = net.listen{}
    a, b, server = one, two, three
  end
  assert(a:closed() and b:closed() and server:closed())
end)

test("a stream that is collected is closed", async function()
  local a <close>, b = net.pair()
  b = nil
  local reading = asyncio.create_task(a:read())
  collect()
  assert(await reading == nil)
end)

test("a server that is collected is closed", async function()
  local server = net.listen{}
  local at = server:sockname()
  server = nil
  collect()
  local e = expect_error(asyncio.OSError, net.connect, at.host, at.port)
  equal(e.code, "ECONNREFUSED")
end)

test("a stream with bytes unread can be closed and collected",
    async function()
  for _ = 1, 50 do
    local a, b = net.pair()
    await b:write(("x"):rep(1000))
    await a:read(10)
    if _ % 2 == 0 then a:close() end
  end
  collect()
end)

test("cancelling accept leaves the server usable", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  local accepting = asyncio.create_task(server:accept())
  turns(2)
  accepting:cancel()
  await asyncio.wait {accepting}
  local a <close> = await net.connect(at.host, at.port)
  local b <close> = await server:accept()
  await b:write("hi")
  equal(await a:read(), "hi")
end)

test("cancelling connect closes its socket", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  for delay = 0, 3 do
    local connecting = asyncio.create_task(net.connect(at.host, at.port))
    turns(delay)
    connecting:cancel()
    await asyncio.wait {connecting}
    if not connecting:cancelled() then connecting:result():close() end
  end
end)

test("cancelling resolve ends it", async function()
  local silent <close> = net.udp{host = "127.0.0.1"}
  local at = silent:sockname()
  for n = 0, 5 do
    local resolving = asyncio.create_task(net.resolve("name.example",
      {servers = {("%s:%d"):format(at.host, at.port)}}))
    turns(n)
    resolving:cancel()
    await asyncio.wait {resolving}
    assert(resolving:cancelled())
  end
end)

local neap = os.getenv "NEAP" or "build/neap"

-- Runs a program of its own; gives its output and whether it ended well.
local function run(program)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(program)
  file:close()
  local pipe = assert(io.popen(("%s %s 2>&1"):format(neap, path)))
  local output = pipe:read "a"
  local ok = pipe:close()
  os.remove(path)
  return output, ok
end

test("a machine may end with every operation in flight", async function()
  local output, ok = run [[
    local net = require "neap.net"
    local server = net.listen{}
    local at = server:sockname()
    local a, b = net.pair()
    local start = asyncio.create_task
    start(server:accept())
    start(a:read())
    start(a:write(("x"):rep(1 << 24)))
    start(a:shutdown())
    local silent = net.udp{host = "127.0.0.1"}
    start(net.resolve("name.example",
      {servers = {"127.0.0.1:" .. silent:sockname().port}}))
    start(net.connect(at.host, at.port))
    start(net.listen{}:serve(function() end))
    for _ = 1, 2 do await asyncio.sleep(0) end
    start(net.connect(at.host, at.port))
    print("ended")
  ]]
  equal(output, "ended\n")
  assert(ok)
end)

test("a machine may end by an error with operations in flight",
    async function()
  local output, ok = run [[
    local net = require "neap.net"
    local a, b = net.pair()
    asyncio.create_task(a:read())
    asyncio.create_task(a:write(("x"):rep(1 << 24)))
    await asyncio.sleep(0)
    error("stop")
  ]]
  assert(output:find("stop", 1, true), output)
  assert(not ok)
end)
