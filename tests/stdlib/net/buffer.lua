-- Buffers: what streams read into and write from, again and again.

local net = require "neap.net"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

local big = ("0123456789abcdef"):rep(1 << 18) -- 4 MiB, more than sockets hold

-- A buffer with these bytes, in a task that waits to have them written.
local function writing(stream, text)
  local buffer = net.buffer(#text):set(text)
  local task = asyncio.create_task(stream:write(buffer))
  turns(2)
  assert(not task:done())
  return buffer, task
end

local function still_written(buffer, stream)
  expect_error("set: the buffer is still being written", buffer.set, buffer,
    "x")
  local e = expect_error("read_into: the buffer is still being written",
    stream.read_into, stream, buffer)
  assert(e:find "^%S+%.lua:%d+: ", e)
end

test("a buffer holds what was read", async function()
  local a <close>, b = net.pair()
  local buffer = net.buffer(8)
  equal(#buffer, 0)
  equal(tostring(buffer), "")
  equal(buffer:size(), 8)
  await b:write("hello")
  equal(await a:read_into(buffer), 5)
  equal(#buffer, 5)
  equal(tostring(buffer), "hello")
  await b:write("you")
  equal(await a:read_into(buffer), 3)
  equal(tostring(buffer), "you")
  b:close()
  equal(await a:read_into(buffer), nil)
  equal(#buffer, 0)
  equal(await a:read_into(buffer), nil)
end)

test("no more is read than it has room for, or than was asked",
    async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local buffer = net.buffer(4)
  await b:write("0123456789")
  equal(await a:read_into(buffer), 4)
  equal(tostring(buffer), "0123")
  equal(await a:read_into(buffer, 1), 1)
  equal(tostring(buffer), "4")
  equal(await a:read_into(buffer, 0), 0)
  equal(#buffer, 0)
  equal(await a:read(2), "56")
  equal(await a:read_into(buffer), 3)
  equal(tostring(buffer), "789")
end)

test("all reads give what comes next, in any order", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local buffer = net.buffer(100)
  local writer = asyncio.create_task(b:write(big))
  local parts, size, turn = {}, 0, 0
  while size < #big do
    turn = turn + 1
    local part
    if turn % 3 == 0 then
      part = await a:read(turn)
    elseif turn % 3 == 1 then
      await a:read_into(buffer, turn % 101)
      part = tostring(buffer)
    elseif size + 5000 <= #big then
      part = await a:read_exactly(5000)
    else
      part = ""
    end
    size = size + #part
    parts[turn] = part
  end
  assert(table.concat(parts) == big)
  await writer
end)

test("a task waits for something to come", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local buffer = net.buffer(100):set("as it was")
  local task = asyncio.create_task(a:read_into(buffer))
  turns(3)
  equal(tostring(buffer), "")
  expect_error("another task is reading", a.read_into, a, net.buffer(1))
  await b:write(buffer:set "used meanwhile")
  equal(await task, 14)
  equal(tostring(buffer), "used meanwhile")
end)

test("sub is that of strings", async function()
  for _, text in ipairs {"", "a", "abc"} do
    local buffer = net.buffer(5):set(text)
    for i = -5, 5 do
      equal(buffer:sub(i), text:sub(i))
      for j = -5, 5 do equal(buffer:sub(i, j), text:sub(i, j)) end
    end
    equal(buffer:sub(math.mininteger, math.maxinteger), text)
    equal(buffer:sub(math.maxinteger, math.mininteger), "")
  end
end)

test("buffers are written among strings", async function()
  local a <close>, b = net.pair()
  local one, two = net.buffer(3):set("one"), net.buffer(100):set("two")
  await b:write("<", one, two, 3, net.buffer(7), one, ">")
  await b:write(net.buffer(1))
  b:close()
  equal(await a:read_all(), "<onetwo3one>")
end)

test("what is being written cannot change", async function()
  local a <close>, b = net.pair()
  local c <close>, d = net.pair()
  local _ <close> = b
  local _ <close> = d
  local buffer, task = writing(b, big)
  still_written(buffer, d)
  equal(buffer:sub(1, 16), big:sub(1, 16)) -- but it can be read,
  local second = asyncio.create_task(d:write(buffer, "!", buffer)) -- and sent
  assert(await a:read_exactly(#big) == big)
  await task
  still_written(buffer, d)
  assert(await c:read_exactly(2 * #big + 1) == big .. "!" .. big)
  await second
  buffer:set("free")
  await c:write("again")
  equal(await d:read_into(buffer), 5)
end)

test("who waits to read into it is told that it is being written",
    async function()
  local a <close>, b = net.pair()
  local c <close>, d = net.pair()
  local _ <close> = b
  local _ <close> = d
  local buffer = net.buffer(#big)
  local reading = asyncio.create_task(c:read_into(buffer))
  turns(2)
  local task = asyncio.create_task(b:write(buffer:set(big)))
  turns(2)
  await d:write("lost?")
  expect_error("read_into: the buffer is still being written",
    function() await reading end)
  assert(await a:read_exactly(#big) == big)
  await task
  equal(await c:read_into(buffer), 5)
  equal(tostring(buffer), "lost?")
end)

test("a cancelled write still sends its bytes", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local buffer, task = writing(b, big)
  task:cancel()
  await asyncio.wait {task}
  assert(task:cancelled())
  still_written(buffer, b)
  assert(await a:read_exactly(#big) == big)
  while not pcall(buffer.set, buffer, "free") do await asyncio.sleep(0) end
end)

test("it may be collected while its bytes are sent", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  for _ = 1, 3 do
    local _, task = writing(b, big)
    task:cancel()
    await asyncio.wait {task}
    _, task = nil, nil
    collectgarbage()
    assert(await a:read_exactly(#big) == big)
  end
end)

test("closing a stream lets go of it", async function()
  local a <close>, b = net.pair()
  local buffer, task = writing(b, big)
  b:close()
  expect_error("was closed", function() await task end)
  buffer:set("free")
  expect_error("is closed", b.read_into, b, buffer)
end)

test("closing under a read_into ends it", async function()
  local a <close>, b = net.pair()
  local buffer = net.buffer(10):set("before")
  local reading = asyncio.create_task(b:read_into(buffer))
  turns(2)
  b:close()
  expect_error("read_into: it was closed", function() await reading end)
  equal(tostring(buffer), "")
end)

test("cancelling a read_into loses nothing", async function()
  for delay = 0, 6 do
    local a <close>, b = net.pair()
    local _ <close> = b
    local buffer = net.buffer(10):set("before")
    local task = asyncio.create_task(a:read_into(buffer))
    turns(2)
    await b:write("precious")
    turns(delay)
    task:cancel()
    await asyncio.wait {task}
    if task:cancelled() then
      equal(tostring(buffer), "")
      equal(await a:read_into(buffer), 8)
    end
    equal(tostring(buffer), "precious")
  end
end)

test("a peer that goes is an error, as for read", async function()
  local server <close> = net.listen{}
  local accepting = asyncio.create_task(server:accept())
  local at = server:sockname()
  local a <close> = await net.connect(at.host, at.port)
  local b = await accepting
  await a:write("unread")
  turns(3)
  b:close() -- with bytes unread: a reset
  local e = expect_error(asyncio.OSError, a.read_into, a, net.buffer(10))
  equal(e.code, "ECONNRESET")
  assert(tostring(e):find("read_into " .. at.host, 1, true), tostring(e))
end)

test("many that wait share the memory of a few", async function()
  local size, n = 200000, 100
  local pairs_, tasks, buffers = {}, {}, {}
  collectgarbage()
  local before = collectgarbage "count"
  for i = 1, n do
    pairs_[i] = {net.pair()}
    buffers[i] = net.buffer(size)
    tasks[i] = asyncio.create_task(pairs_[i][1]:read_into(buffers[i]))
  end
  turns(3)
  assert(collectgarbage "count" - before < size * n / 1024 / 4)
  for i = 1, n do await pairs_[i][2]:write("to ", i) end
  for i = 1, n do
    await tasks[i]
    equal(tostring(buffers[i]), "to " .. i)
    pairs_[i][1]:close()
    pairs_[i][2]:close()
  end
end)

-- Passes on what comes until the end, which it says; gives how much that was.
local async function copy(from, to, size)
  local buffer, sum = net.buffer(size), 0
  while await from:read_into(buffer) do
    await to:write(buffer)
    sum = sum + #buffer
  end
  await to:shutdown()
  return sum
end

for _, size in ipairs {1000, 16384, 65536, 1 << 20} do
  test(("a buffer of %d bytes carries more than it holds"):format(size),
      async function()
    local a <close>, b = net.pair()
    local c <close>, d = net.pair()
    local _ <close> = b
    local _ <close> = d
    local copying = asyncio.create_task(copy(b, c, size))
    local sending = asyncio.create_task((async function()
      await a:write(big)
      await a:shutdown()
    end)())
    assert(await d:read_all() == big)
    equal(await copying, #big)
    await sending
  end)
end

test("wrong arguments are named, with the caller's line", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local buffer = net.buffer(10):set("0123456789")
  local function wrong(text, f, ...)
    local arguments = table.pack(...)
    local e = expect_error(text, function()
      local result = f(table.unpack(arguments, 1, arguments.n))
      if asyncio.iscoroutine(result) then await result end
    end)
    equal(type(e), "string")
    assert(e:find "^%S+buffer%.lua:%d+: ", e)
  end
  wrong("buffer: size must be at least 1, not 0", net.buffer, 0)
  wrong("buffer: size must be an integer, not no value", net.buffer)
  wrong("buffer: size must be at most 2147483647", net.buffer, 1 << 31)
  wrong("read_into: buffer must be a Buffer, not no value", a.read_into, a)
  wrong("read_into: buffer must be a Buffer, not Stream", a.read_into, a, b)
  wrong("read_into: n must be at least 0, not -1", a.read_into, a, buffer, -1)
  wrong("read_into: n is 11, and the buffer has room for 10", a.read_into, a,
    buffer, 11)
  wrong("write: argument 2 must be a string or a Buffer, not Stream",
    a.write, a, buffer, b)
  wrong("set: s has 11 bytes, and the buffer room for 10", buffer.set, buffer,
    "0123456789x")
  wrong("set: s must be a string, not nil", buffer.set, buffer, nil)
  wrong("sub: i must be an integer, not no value", buffer.sub, buffer)
  wrong("sub: j must be an integer, not table", buffer.sub, buffer, 1, {})
  wrong("Buffer expected, got Stream", buffer.size, a)
  equal(tostring(buffer), "0123456789")
end)

-- == Other streams =======================================================

local process = require "neap.process"
local neap = os.getenv "NEAP" or "build/neap"

-- A program that sends on what it reads.
local through <const> = [[
  local net, process = require "neap.net", require "neap.process"
  local buffer, from, to = net.buffer(1000), process.stdin, process.stdout
  assert(await from:read_into(buffer, 0) == 0)
  while await from:read_into(buffer) do await to:write(buffer, "") end
  assert(await from:read_into(buffer) == nil and #buffer == 0)
  for _, arguments in ipairs {{"x"}, {buffer, 1001}} do
    local ok, e = pcall(function()
      await from:read_into(table.unpack(arguments))
    end)
    io.stderr:write(e, "\n")
  end
]]

test("standard streams do it as well, files too", async function()
  local program = os.tmpname()
  local _ <close> = asyncio.defer(function() os.remove(program) end)
  local file <close> = assert(io.open(program, "w"))
  file:write(through)
  file:flush()
  local text = ("0123456789abcde\n"):rep(1000)
  local piped = await process.run({neap, program}, {input = text})
  assert(piped.stdout == text)
  local input <close> = io.tmpfile()
  local output <close> = io.tmpfile()
  input:write(text)
  input:seek "set"
  local filed = await process.run({neap, program}, {stdin = input,
    stdout = output})
  output:seek "set"
  assert(output:read "a" == text)
  equal(filed.stderr, piped.stderr)
  assert(filed.stderr:find("n is 1001, and the buffer has room for 1000", 1,
    true), filed.stderr)
end)

test("it counts as memory of the machine", async function()
  local result = await process.run {neap, "--memory-limit=16M", "-e", [[
    local net = require "neap.net"
    local a, b = net.pair()
    local function read(buffer)
      await a:write "x"
      await b:read_into(buffer)
      return buffer
    end
    print(pcall(read, net.buffer(64 << 20)))
    for size = 1 << 19, (1 << 19) + 100 do read(net.buffer(size)) end
    for size = 1000, 60000 do read(net.buffer(size)) end
    local held = {}
    print(pcall(function()
      while true do held[#held + 1] = read(net.buffer(1 << 20)) end
    end))
    print(#held > 8)
  ]]}
  equal(result.stdout, "false\tnot enough memory\nfalse\tnot enough memory\n"
    .. "true\n")
end)

test("a machine may end while one is being written", async function()
  local result = await process.run {neap, "-e", [[
    local net = require "neap.net"
    local a, b = net.pair()
    local buffer = net.buffer(1 << 24):set(("x"):rep(1 << 24))
    asyncio.create_task(a:write(buffer))
    asyncio.create_task(a:read_into(net.buffer(10)))
    await asyncio.sleep(0)
    print(pcall(buffer.set, buffer, ""))
  ]]}
  equal(result.stdout, "false\t(command line):7: set: the buffer is still "
    .. "being written\n")
  equal(result.status, 0)
end)
