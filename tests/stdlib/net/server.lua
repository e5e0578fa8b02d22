-- Servers: accepting, serving, handlers that fail, and where they listen.

local net = require "neap.net"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

local function wrong(text, f, ...)
  local e = expect_error(text, f, ...)
  equal(type(e), "string")
  assert(e:find "^%S+%.lua:%d+: ", e)
end

local function free_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function exists(path)
  local ok, _, code = os.rename(path, path)
  return ok or code ~= 2
end

test("accept gives the connections in their order", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  local conns = {}
  for i = 1, 10 do
    conns[i] = await net.connect(at.host, at.port)
    await conns[i]:write(i)
  end
  for i = 1, 10 do
    local conn <close> = await server:accept()
    equal(await conn:read(), tostring(i))
    conns[i]:close()
  end
end)

test("connections gives every connection until the server is closed",
    async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  local connecting = asyncio.create_task((async function()
    for i = 1, 200 do
      local conn <close> = await net.connect(at.host, at.port)
      await conn:write(i)
    end
  end)())
  local sum, n = 0, 0
  for conn in server:connections() do
    n = n + 1
    sum = sum + tonumber(await conn:read_all())
    conn:close()
    if n == 200 then server:close() end
  end
  equal({n, sum}, {200, 20100})
  await connecting
end)

test("listen may be awaited as well", async function()
  local server <close> = await net.listen{}
  assert(server:sockname().port > 0)
end)

test("two tasks cannot accept at once", async function()
  local server <close> = net.listen{}
  local first = asyncio.create_task(server:accept())
  turns(1)
  expect_error("another task is accepting", server.accept, server)
  first:cancel()
  await asyncio.wait {first}
end)

test("two tasks cannot serve at once, and the first is not disturbed",
    async function()
  local server = net.listen{}
  local at = server:sockname()
  local begun, ended = asyncio.Event(), asyncio.Event()
  local serving = asyncio.create_task(server:serve(async function(conn)
    begun:set()
    await conn:read()
    ended:set()
  end))
  local conn = await net.connect(at.host, at.port)
  await begun:wait()
  expect_error("serve: another task is serving", server.serve, server, print)
  local closing = asyncio.create_task(server:close(60))
  turns(5)
  equal(closing:done(), false)
  conn:close()
  await closing
  equal(ended:is_set(), true)
  await serving
end)

test("a server may be served again after a cancel", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  for _ = 1, 2 do
    local serving = asyncio.create_task(server:serve(async function(conn)
      await conn:write("x")
    end))
    local conn <close> = await net.connect(at.host, at.port)
    equal(await conn:read(), "x")
    serving:cancel()
    await asyncio.wait {serving}
  end
end)

test("serve closes a connection when its handler ends", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  local serving = asyncio.create_task(server:serve(function(conn)
    await conn:write("bye")
  end))
  local conn <close> = await net.connect(at.host, at.port)
  equal(await conn:read_all(), "bye")
  server:close()
  await serving
end)

-- Calls f while reports are collected, which it gives; the report goes to
-- stderr of a process of its own.
local neap = os.getenv "NEAP" or "build/neap"

local function run(program, before)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(program)
  file:close()
  local pipe = assert(io.popen(("%s %s %s 2>&1"):format(before or "", neap,
    path)))
  local output = pipe:read "a"
  local ok, how, status = pipe:close()
  os.remove(path)
  return output, status or (ok and 0)
end

test("a handler that fails costs its connection, not the server",
    async function()
  local output, status = run [[
    local net = require "neap.net"
    local server <close> = net.listen{}
    local at = server:sockname()
    local serving = asyncio.create_task(server:serve(async function(conn)
      local line = await conn:read_line()
      if line == "bad" then error("the handler's fault") end
      await conn:write("good")
    end))
    for _, line in ipairs {"good", "bad", "good"} do
      local conn <close> = await net.connect(at.host, at.port)
      await conn:write(line, "\n")
      print(await conn:read_all())
    end
    server:close()
    await serving
    print("ended")
  ]]
  assert(output:find("the handler's fault", 1, true), output)
  assert(output:find('\n    if line == "bad" then error', 1, true), output)
  assert(output:find("stack traceback", 1, true), output)
  local said = output:gsub("neap: [^\n]*\n", ""):gsub("stack traceback[^\n]*\n",
    ""):gsub("\t[^\n]*\n", ""):gsub("    if line[^\n]*\n", "")
  equal(said, "good\n\ngood\nended\n")
  equal(status, 0)
end)

test("closing the server lets the handlers end", async function()
  local server = net.listen{}
  local at, begun = server:sockname(), asyncio.Event()
  local serving = asyncio.create_task(server:serve(async function(conn)
    begun:set()
    await conn:write(await conn:read_line())
  end))
  local conn <close> = await net.connect(at.host, at.port)
  await conn:write("slow")
  await begun:wait()
  server:close()
  turns(5)
  assert(not serving:done())
  await conn:write("\n")
  equal(await conn:read_all(), "slow")
  await serving
end)

test("cancelling serve cancels the handlers", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  local ended = asyncio.Event()
  local serving = asyncio.create_task(server:serve(async function(conn)
    local _ <close> = asyncio.defer(function() ended:set() end)
    await conn:write("hello")
    await conn:read()
  end))
  local conn <close> = await net.connect(at.host, at.port)
  equal(await conn:read(), "hello")
  serving:cancel()
  await ended:wait()
  assert(await conn:read() == nil)
  await asyncio.wait {serving}
  assert(serving:cancelled())
end)

test("many connections at once are accepted in one go", async function()
  local server <close> = net.listen{}
  local at = server:sockname()
  local served = 0
  local serving = asyncio.create_task(server:serve(function(conn)
    served = served + 1
  end))
  local conns = {}
  for i = 1, 300 do conns[i] = net.connect(at.host, at.port) end
  for _, conn in ipairs(await asyncio.gather(conns)) do
    assert(await conn:read() == nil)
    conn:close()
  end
  equal(served, 300)
  server:close()
  await serving
end)

test("a process without descriptors accepts when it has some again",
    async function()
  local output = run([[
    local net = require "neap.net"
    local server <close> = net.listen{}
    local at = server:sockname()
    local a <close>, b = net.pair() -- libuv has a descriptor since then
    local files = {}
    repeat
      local file = io.open("/dev/null")
      files[#files + 1] = file
    until not file
    table.remove(files):close()
    local conn <close> = await net.connect(at.host, at.port)
    local accepting = asyncio.create_task(server:accept())
    await asyncio.sleep(0.12)
    assert(not accepting:done())
    for _, file in ipairs(files) do file:close() end
    local other <close> = await accepting
    await other:write("accepted\n")
    print(await conn:read_line())
  ]], "ulimit -n 40;")
  assert(output:find("accept: too many open files", 1, true), output)
  assert(output:find("accepted\n", 1, true), output)
  equal(select(2, output:gsub("too many", "")), 1)
end)

test("a port in use is an OSError that says which", async function()
  local server <close> = net.listen{}
  local port = server:sockname().port
  local e = expect_error(asyncio.OSError, net.listen, {port = port})
  equal(e.code, "EADDRINUSE")
  equal(e.message,
    ("listen 127.0.0.1:%d: address already in use"):format(port))
end)

test("reuse_port lets several listen on one port", async function()
  local one <close> = net.listen{reuse_port = true}
  local port = one:sockname().port
  local two <close> = net.listen{port = port, reuse_port = true}
  equal(two:sockname().port, port)
end)

test("a server can listen on IPv6 and on a name", async function()
  local ok, six = pcall(net.listen, {host = "::1"})
  if ok then -- there may be no IPv6 here
    local at = six:sockname()
    equal(at.host, "::1")
    local conn <close> = await net.connect(at.host, at.port)
    equal(conn:peername(), at)
    six:close()
  else
    assert(asyncio.iserror(six, asyncio.OSError))
  end
  local named <close> = net.listen{host = "localhost"}
  assert(named:sockname().port > 0)
end)

test("a Unix socket appears and goes with its server", async function()
  local path = free_path()
  local server <close> = net.listen{path = path}
  equal(server:sockname(), {path = path})
  assert(exists(path))
  local conn <close> = await net.connect{path = path}
  equal(conn:peername(), {path = path})
  local other <close> = await server:accept()
  equal(other:sockname(), {path = path})
  equal(other:peername(), {path = ""})
  server:close()
  assert(not exists(path))
  await other:write("still")
  equal(await conn:read(), "still")
end)

test("a Unix socket that is in use is not taken over", async function()
  local path = free_path()
  local server <close> = net.listen{path = path}
  local e = expect_error(asyncio.OSError, net.listen, {path = path})
  equal(e.code, "EADDRINUSE")
  assert(exists(path))
  local conn <close> = await net.connect{path = path}
end)

test("a file is not taken for a socket that was left behind",
    async function()
  local path = os.tmpname()
  local e = expect_error(asyncio.OSError, net.listen, {path = path})
  equal(e.code, "EADDRINUSE")
  assert(exists(path))
  os.remove(path)
end)

test("a Unix socket left behind by a crash is replaced", async function()
  local path = free_path()
  run(([[
    local net = require "neap.net"
    local server = net.listen{path = %q}
    os.exit(0, false)
  ]]):format(path))
  if not exists(path) then return end -- it was not left behind after all
  local server <close> = net.listen{path = path}
  local conn <close> = await net.connect{path = path}
end)

test("clients wait while the backlog of a Unix socket is full",
    async function()
  local path = free_path()
  local server <close> = net.listen{path = path, backlog = 1}
  local asked = {}
  for i = 1, 10 do asked[i] = net.connect{path = path} end
  local connecting = asyncio.create_task((async function()
    return await asyncio.gather(asked)
  end)())
  await asyncio.sleep(0.02)
  for _ = 1, 10 do (await server:accept()):close() end
  for _, conn in ipairs(await connecting) do conn:close() end
end)

test("wrong arguments are named, with the caller's line", async function()
  wrong("listen: port must be from 0 to 65535, not 70000",
    net.listen, {port = 70000})
  wrong("listen: port must be from 0 to 65535, not -1",
    net.listen, {port = -1})
  wrong("listen: host is empty", net.listen, {host = ""})
  wrong("listen: unknown option 'prot'", net.listen, {prot = 80})
  wrong("listen: backlog must be from 1", net.listen, {backlog = 0})
  wrong("listen: reuse_port must be a boolean", net.listen, {reuse_port = 1})
  wrong("listen: options must be a table, not nil", net.listen)
  wrong("listen: path is longer than 107 bytes",
    net.listen, {path = ("x"):rep(200)})
  wrong("listen: path has a NUL", net.listen, {path = "a\0b"})
  for _, name in ipairs {"host", "port", "reuse_port", "nodelay"} do
    wrong("listen: " .. name .. " and path exclude each other", net.listen,
      {path = "x", [name] = 5})
  end
  local server <close> = net.listen{}
  wrong("serve: handler must be a function, not nil", server.serve, server)
end)

test("serve serves no more at once than max_connections", async function()
  local server <close> = net.listen{max_connections = 2}
  local at = server:sockname()
  local now, most, two = 0, 0, asyncio.Event()
  local serving = asyncio.create_task(server:serve(async function(conn)
    now = now + 1
    most = math.max(most, now)
    if now == 2 then two:set() end
    await conn:read()
    now = now - 1
    await conn:write("done")
  end))
  local async function talk()
    local conn <close> = await net.connect(at.host, at.port)
    await two:wait()
    await conn:write("x")
    equal(await conn:read_all(), "done")
  end
  local talks = {}
  for i = 1, 7 do talks[i] = talk() end
  await asyncio.gather(talks)
  equal(most, 2)
  server:close()
  await serving
  wrong("listen: max_connections must be from 1", net.listen,
    {max_connections = 0})
end)

test("close with a grace waits for the handlers, then cancels them",
    async function()
  local server = net.listen{}
  local at = server:sockname()
  local ended, begun, short = {}, asyncio.Semaphore(0), asyncio.Event()
  local serving = asyncio.create_task(server:serve(async function(conn)
    local line = await conn:read_line()
    local _ <close> = asyncio.defer(function() ended[#ended + 1] = line end)
    begun:release()
    if line == "short" then await short:wait() else await asyncio.Future() end
  end))
  local one <close> = await net.connect(at.host, at.port)
  local two <close> = await net.connect(at.host, at.port)
  await one:write("short\n")
  await two:write("long\n")
  await begun:acquire()
  await begun:acquire()
  local closing = asyncio.create_task(server:close(0.05))
  await asyncio.sleep(0)
  short:set()
  await closing
  equal(ended, {"short", "long"})
  assert(server:closed())
  await serving
  await server:close(1)
  local idle = net.listen{}
  await idle:close(0)
  await idle:close()
  wrong("close: grace must be a number, not string", idle.close, idle, "1")
end)
