-- Writing to a stream: order, backpressure, cancelling, and peers that go.

local net = require "neap.net"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

local big = ("0123456789abcdef"):rep(1 << 18) -- 4 MiB

-- Two ends of a TCP connection.
local function tcp_pair()
  local server <close> = net.listen{}
  local at = server:sockname()
  local accepting = asyncio.create_task(server:accept())
  local a = await net.connect(at.host, at.port)
  return a, await accepting
end

test("write takes several strings and numbers", async function()
  local a <close>, b = net.pair()
  await b:write("a", 1, "", 2.5, "\0", -7)
  await b:write()
  await b:write("")
  b:close()
  equal(await a:read_all(), "a12.5\0-7")
end)

test("write takes many strings in one call", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local parts = {}
  for i = 1, 200 do parts[i] = ("%d,"):format(i):rep(1000) end
  local writing = asyncio.create_task(b:write(table.unpack(parts)))
  local all = table.concat(parts)
  assert(await a:read_exactly(#all) == all)
  await writing
end)

test("write raises for what is no string", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local e = expect_error("write: argument 2 must be a string or a Buffer, "
    .. "not table", a.write, a, "x", {})
  equal(type(e), "string")
  expect_error("argument 1 must be a string or a Buffer, not nil", a.write, a,
    nil)
end)

test("the writes of several tasks go out in their order", async function()
  local a <close>, b = net.pair()
  local tasks, want = {}, {}
  for i = 1, 20 do
    local text = string.char(64 + i):rep(100000)
    want[i] = text
    tasks[i] = asyncio.create_task(b:write(text, text))
  end
  local closing = asyncio.create_task((async function()
    await asyncio.gather(tasks)
    b:close()
  end)())
  local all = await a:read_all()
  await closing
  for i, text in ipairs(want) do want[i] = text .. text end
  assert(all == table.concat(want))
end)

test("close after an awaited write loses nothing", async function()
  for _ = 1, 20 do
    local a, b = tcp_pair()
    local task = asyncio.create_task((async function()
      await b:write(big)
      b:close()
    end)())
    assert(await a:read_all() == big)
    await task
    a:close()
  end
end)

test("a cancelled write still goes out, and the next one after it",
    async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local task = asyncio.create_task(b:write(big, "-", big))
  turns(3)
  task:cancel()
  await asyncio.wait {task}
  assert(task:cancelled())
  task = nil
  collectgarbage()
  local next = asyncio.create_task(b:write("after"))
  local want = big .. "-" .. big .. "after"
  assert(await a:read_exactly(#want) == want)
  await next
end)

test("a cancelled short rest still goes out", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  -- Fill the socket until a write waits.
  local sent, part = 0, ("x"):rep(3000)
  local task
  repeat
    task = asyncio.create_task(b:write(part))
    sent = sent + #part
    turns(3)
  until not task:done()
  task:cancel()
  await asyncio.wait {task}
  equal(#await a:read_exactly(sent), sent)
end)

test("a timeout works around a write", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  expect_error(asyncio.TimeoutError, function()
    local _ <close> = asyncio.timeout(0.01)
    await b:write(big)
  end)
end)

test("shutdown ends one direction only", async function()
  local a <close>, b = tcp_pair()
  local _ <close> = b
  await a:write("question")
  await a:shutdown()
  await a:shutdown()
  equal(await b:read_all(), "question")
  await b:write("answer")
  b:close()
  equal(await a:read_all(), "answer")
end)

test("shutdown waits for what is being written", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local writing = asyncio.create_task(b:write(big))
  turns(2)
  local ending = asyncio.create_task(b:shutdown())
  assert(await a:read_all() == big)
  await writing
  await ending
end)

test("writing after shutdown is a mistake", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  await a:shutdown()
  local e = expect_error("write: the stream was shut down", a.write, a, "x")
  equal(type(e), "string")
end)

test("writing to a peer that has gone raises", async function()
  for _, make in ipairs {net.pair, tcp_pair} do
    local a <close>, b = make()
    b:close()
    local e = expect_error(asyncio.OSError, function()
      while true do
        await a:write("x")
        await asyncio.sleep(0)
      end
    end)
    assert(e.code == "EPIPE" or e.code == "ECONNRESET", e.code)
    assert(tostring(e):find "write.lua:%d+: write", tostring(e))
  end
end)

test("a reset is an error for who reads and who writes", async function()
  local a <close>, b = tcp_pair()
  local writing = asyncio.create_task(a:write(big, big))
  local at = a:peername()
  await b:read(1)
  b:close() -- with bytes unread, so the kernel resets
  local e = expect_error(asyncio.OSError, function() await writing end)
  assert(e.code == "EPIPE" or e.code == "ECONNRESET", e.code)
  e = expect_error(asyncio.OSError, a.read, a)
  equal(e.code, "ECONNRESET")
  equal(e.message, ("read %s:%d: connection reset by peer")
    :format(at.host, at.port))
  equal(a:peername(), at)
  expect_error(asyncio.OSError, a.read, a)
  expect_error(asyncio.OSError, a.write, a, "x")
end)

test("a writer that never waits lets others run", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local async function drain()
    while await a:read() do end
  end
  local draining = asyncio.create_task(drain())
  local seen = 0
  local ticking = asyncio.create_task((async function()
    while true do
      seen = seen + 1
      await asyncio.sleep(0)
    end
  end)())
  for _ = 1, 3000 do await b:write("x") end
  assert(seen >= 5, seen)
  ticking:cancel()
  await asyncio.wait {ticking}
  b:close()
  await draining
end)

test("sendfile sends a file, or a part of it", async function()
  local path = os.tmpname()
  local _ <close> = asyncio.defer(function() os.remove(path) end)
  local text = {}
  for i = 1, 1600 do text[i] = i .. (" "):rep(800) end
  text = table.concat(text, "\n")
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  local function sent(...)
    local a <close>, b = net.pair()
    local _ <close> = b
    local reading = asyncio.create_task(b:read_all())
    local n = await a:sendfile(path, ...)
    await a:shutdown()
    local got = await reading
    equal(#got, n)
    return got
  end
  assert(sent() == text)
  assert(sent(5) == text:sub(6))
  assert(sent(1000, 600000) == text:sub(1001, 601000))
  equal(sent(3, 4), text:sub(4, 7))
  equal(sent(0, 0), "")
  equal(sent(#text + 10), "")
  equal(sent(#text - 2, 100), text:sub(-2))
  local a <close>, b = net.pair()
  local e = expect_error(asyncio.OSError, a.sendfile, a, path .. "-not")
  equal(e.code, "ENOENT")
  expect_error("sendfile: offset must be from 0", a.sendfile, a, path, -1)
  expect_error("sendfile: path must be a string, not nil", a.sendfile, a)
  -- Cancelled, closed under it.
  for _, how in ipairs {"cancel", "close"} do
    local task = asyncio.create_task(a:sendfile(path))
    await asyncio.sleep(0.005)
    if how == "cancel" then task:cancel() else a:close() end
    await asyncio.wait {task}
    assert(task:cancelled() or task:exception())
  end
  b:close()
end)

test("sendfile of nothing tells of a stream that cannot be written to",
    async function()
  local a, b = net.pair()
  local _ <close> = b
  await a:shutdown()
  expect_error("the stream was shut down", a.sendfile, a, "/dev/null")
  a:close()
  expect_error("the Stream is closed", a.sendfile, a, "/dev/null")
end)
