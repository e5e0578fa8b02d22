-- The rule of closing, for each kind of handle: at the end of a scope, twice,
-- under who waits, cancelled at each await, collected, and with its machine.

local process = require "neap.process"

-- What each kind needs: `open` gives x, and whatever must live beside it;
-- `wait` is an await of x that does not end by itself; `works` uses x after
-- one that was cancelled. `gives` is what the wait gives when x is closed
-- under it, instead of the error; `shown` what debug mode calls it. Who has an
-- `owned` one keeps it, and is collected with it.
local PRELUDE <const> = [[
  local net, fs = require "neap.net", require "neap.fs"
  local process = require "neap.process"
  local function tcp(tls)
    local server <close> = net.listen{tls = tls and {cert = tls}}
    local at = server:sockname()
    local connecting = asyncio.create_task(net.connect(at.host, at.port,
      {tls = tls and {verify = false}}))
    local b = await server:accept()
    if tls then await b:handshake() end
    return await connecting, b
  end
  local function name()
    local path = os.tmpname()
    os.remove(path)
    return path
  end
  local function signal(name) process.kill(process.pid, name) end
]]

local echo <const> = [[
  await keep:write "y"
  assert(await x:read() == "y")
]]

local kinds = {
  {
    "a TCP stream", shown = "Stream",
    open = "return tcp()", wait = "x:read()", works = echo,
  }, {
    "a TCP stream that is written to", shown = "Stream",
    open = "return tcp()", wait = "x:write(BIG)",
    works = "assert(#await keep:read_exactly(1000) == 1000)",
  }, {
    "a Unix stream", shown = "Stream",
    open = [[
      local server <close> = net.listen{path = name()}
      return await net.connect{path = server:sockname().path},
        await server:accept()]],
    wait = "x:read_line()",
    works = "await keep:write 'y\\n' assert(await x:read_line() == 'y')",
  }, {
    "a pair's stream", shown = "Stream",
    open = "return net.pair()", wait = "x:read_exactly(5)", works = echo,
  }, {
    "a TLS stream", shown = "Stream", tls = true,
    open = "return tcp(CERT)", wait = "x:read()", works = echo,
  }, {
    "a TLS stream that shakes hands", shown = "Stream", tls = true,
    open = [[
      local server <close> = net.listen{tls = {cert = CERT}}
      local at = server:sockname()
      local client = await net.connect(at.host, at.port)
      return await server:accept(), client]],
    wait = "x:handshake()",
    works = "await keep:start_tls{verify = false} await x:handshake()",
  }, {
    "a server", shown = "Server",
    open = "return net.listen{}", wait = "x:accept()",
    works = [[
      local at = x:sockname()
      local a <close> = await net.connect(at.host, at.port)
      local b <close> = await x:accept()]],
  }, {
    "a server on a path", shown = "Server",
    open = "return net.listen{path = name()}", wait = "x:accept()",
    works = [[
      local a <close> = await net.connect{path = x:sockname().path}
      local b <close> = await x:accept()]],
  }, {
    "a server that serves", shown = "Server", gives = true,
    open = "return net.listen{}",
    wait = "x:serve(function(conn) await conn:read() end)",
    works = "assert(x:sockname().port > 0)",
  }, {
    "a UDP socket", shown = "Udp",
    open = "return net.udp{host = '127.0.0.1'}", wait = "x:recv()",
    works = [[
      local at = x:sockname()
      await x:send("y", at.host, at.port)
      assert(await x:recv() == "y")]],
  }, {
    "a file", shown = "File",
    open = [[
      local path = name()
      await process.run {"mkfifo", path}
      local x = await fs.open(path)
      local keep = await fs.open(path, "w")
      await fs.remove(path)
      return x, keep]],
    wait = "x:read()", works = echo,
  }, {
    "a watcher", shown = "Watcher",
    open = [[
      local dir = await fs.temp_dir()
      return await fs.watch(dir:path()), dir]],
    wait = "x:next()",
    works = [[
      await fs.write_file(keep:path "y", "")
      assert((await x:next()).path == keep:path "y")]],
  }, {
    "a process", shown = "Process",
    open = "return process.spawn {'sleep', '600'}", wait = "x:wait()",
    works = "x:kill 'SIGKILL' assert(select(2, await x:wait()) == 'SIGKILL')",
  }, {
    "a child's standard input", shown = "Stream", owned = true,
    open = [[
      local child = process.spawn({"cat"}, {stdin = "pipe", stdout = "pipe"})
      return child.stdin, child]],
    wait = "x:write(BIG)",
    works = "assert(#await keep.stdout:read_exactly(1000) == 1000)",
  }, {
    "a child's standard output", shown = "Stream", owned = true,
    open = [[
      local child = process.spawn({"cat"}, {stdin = "pipe", stdout = "pipe"})
      return child.stdout, child]],
    wait = "x:read()",
    works = "await keep.stdin:write 'y' assert(await x:read() == 'y')",
  }, {
    "a child's standard error", shown = "Stream", owned = true,
    open = [[
      local child = process.spawn({"sh", "-c", "read a; echo $a >&2; cat"},
        {stdin = "pipe", stderr = "pipe", stdout = "null"})
      return child.stderr, child]],
    wait = "x:read()",
    works = "await keep.stdin:write 'y\\n' assert(await x:read_line() == 'y')",
  }, {
    "a terminal's stream", shown = "Stream", owned = true,
    open = [[
      local child = process.spawn({"sh", "-c", "stty -echo; echo; cat"},
        {pty = true})
      await child.stdout:read_line()
      return child.stdout, child]],
    wait = "x:read()",
    works = "await keep.stdin:write 'y\\n' assert(await x:read_line())",
  }, {
    "an iterator of signals", shown = "Signals", gives = true,
    open = "return process.signals 'SIGUSR2'", wait = "x:next()",
    works = "signal 'SIGUSR2' assert(await x:next() == 'SIGUSR2')",
  },
}

-- == Certificates ========================================================

local cert = os.tmpname()
local made <const> = os.execute(([[
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -keyout %s.key -out %s 2>/dev/null && cat %s.key >>%s; rm -f %s.key]])
  :format(cert, cert, cert, cert, cert))
local _ <close> = asyncio.defer(function() os.remove(cert) end)

-- == Running them ========================================================

local big <const> = ("x"):rep(8 << 20) -- more than a socket takes

local function functions(kind)
  local text = PRELUDE .. ([[
    return function() %s end,
      async function(x, keep) return await %s end,
      function(x, keep) %s end
  ]]):format(kind.open, kind.wait, kind.works)
  local env = setmetatable({CERT = cert, BIG = big}, {__index = _G})
  return assert(load(text, "=" .. kind[1], "t", env))()
end

-- A question to a name server that does not answer, a directory that is read
-- and a program that runs are closed by nobody but their tasks and machines.
local unnamed = {
  {
    "a resolver's query",
    open = "return net.udp{host = '127.0.0.1'}",
    wait = [[net.resolve("name.example",
      {servers = {"127.0.0.1:" .. x:sockname().port}})]],
    works = "assert(#x:sockname().host > 0)",
  }, {
    "process.run",
    open = "return net.pair()", wait = "process.run {'sleep', '600'}",
    works = "assert((await process.run {'true'}).status == 0)",
  }, {
    "connecting",
    open = "return net.udp{host = '127.0.0.1'}",
    wait = [[net.connect("name.example", 80,
      {servers = {"127.0.0.1:" .. x:sockname().port}})]],
    works = "assert(#x:sockname().host > 0)",
  },
}

local function settle()
  for _ = 1, 3 do await asyncio.sleep(0) end
end

-- Closes what was opened beside it.
local function close_all(x, keep)
  if keep then keep:close() end
  if x and not x:closed() then x:close() end
end

local neap <const> = "/proc/" .. process.pid .. "/exe"

-- Runs a program in a machine of its own, in debug mode if `option` says so.
local function run(kind, text, option)
  local program = ("local CERT, OWNED = %q, %s\n"):format(cert,
    kind.owned or false) .. (kind.wait:find "BIG" and
    "local BIG = ('x'):rep(8 << 20)\n" or "") .. PRELUDE ..
    ("local function open() %s end\n"):format(kind.open) ..
    ("local async function wait(x, keep) return await %s end\n")
      :format(kind.wait) .. text
  local argv = {neap, option or "-", "-"}
  if not option then table.remove(argv) end
  return await process.run(argv, {input = program})
end

-- == The rule ============================================================

local function closed_by_scope(open)
  local x, keep = open()
  do
    local scoped <close> = x
    assert(not x:closed())
  end
  assert(x:closed())
  close_all(x, keep)
end

local function closed_twice(open)
  local x, keep = open()
  x:close()
  x:close()
  assert(x:closed())
  close_all(x, keep)
end

local function closed_under_waiter(open, wait, kind)
  local x, keep = open()
  local task = asyncio.create_task(wait(x, keep))
  settle()
  assert(not task:done())
  x:close()
  if kind.gives then
    equal(await task, nil)
  else
    local e = expect_error("it was closed", function() await task end)
    equal(e.code, "ECLOSED")
  end
  close_all(x, keep)
end

local function cancelled(open, wait, works)
  local x, keep = open()
  for turns = 0, 4 do
    local task = asyncio.create_task(wait(x, keep))
    for _ = 1, turns do await asyncio.sleep(0) end
    task:cancel()
    await asyncio.wait {task}
    assert(task:cancelled())
  end
  works(x, keep)
  close_all(x, keep)
end

local function collected(kind)
  local result = run(kind, [[
    local x, keep = open()
    x = nil
    if OWNED then keep = nil end
    for _ = 1, 3 do
      collectgarbage()
      await asyncio.sleep(0)
    end
    print "done"
    if keep then keep:close() end
  ]], "--debug")
  equal(result.stdout, "done\n")
  equal(result.status, 0)
  local wanted = ("a %s was collected while open; it was opened at ")
    :format(kind.shown)
  assert(result.stderr:find(wanted, 1, true), result.stderr)
end

local function ended(kind)
  local result = run(kind, [[
    local x, keep = open()
    asyncio.create_task(wait(x, keep))
    for _ = 1, 3 do await asyncio.sleep(0) end
    print "done"
  ]])
  equal(result.stderr, "")
  equal(result.stdout, "done\n")
  equal(result.status, 0)
end

local function test_waiting(kind)
  local open, wait, works = functions(kind)
  test(kind[1] .. ": cancelled at each await", function()
    cancelled(open, wait, works)
  end)
  test(kind[1] .. ": its machine ends while a task waits", function()
    ended(kind)
  end)
end

local function test_kind(kind)
  local open, wait = functions(kind)
  test(kind[1] .. ": closed at the end of a scope", function()
    closed_by_scope(open)
  end)
  test(kind[1] .. ": closed twice", function() closed_twice(open) end)
  test(kind[1] .. ": closed under a task that waits", function()
    closed_under_waiter(open, wait, kind)
  end)
  test(kind[1] .. ": collected while open, which debug mode tells",
    function() collected(kind) end)
  test_waiting(kind)
end

for _, kind in ipairs(kinds) do
  if made or not kind.tls then test_kind(kind) end
end
for _, kind in ipairs(unnamed) do test_waiting(kind) end
