-- Reading from a stream: what each operation gives, and when it gives up.

local net = require "neap.net"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

-- Awaits s[name](s, ...) while the parts come one by one.
local function read_in_parts(parts, name, ...)
  local a <close>, b = net.pair()
  local _ <close> = b
  local reading = asyncio.create_task(a[name](a, ...))
  for _, part in ipairs(parts) do
    turns(3)
    await b:write(part)
  end
  return await reading
end

local function each_split(text, f)
  for i = 1, #text - 1 do f {text:sub(1, i), text:sub(i + 1)} end
  local bytes = {}
  for i = 1, #text do bytes[i] = text:sub(i, i) end
  f(bytes)
end

test("read gives what is there, and no more than asked for", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  await b:write("hello")
  equal(await a:read(2), "he")
  equal(await a:read(100), "llo")
  await b:write("more")
  equal(await a:read(), "more")
end)

test("read waits until something comes", async function()
  equal(read_in_parts({"abc"}, "read"), "abc")
  equal(read_in_parts({"abc"}, "read", 2), "ab")
end)

test("read of no bytes does not wait", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  equal(await a:read(0), "")
  equal(await a:read_exactly(0), "")
end)

test("read gives nil at the end, again and again", async function()
  local a <close>, b = net.pair()
  await b:write("x")
  b:close()
  equal(await a:read(), "x")
  assert(await a:read() == nil)
  assert(await a:read(1) == nil)
  assert(await a:read_line() == nil)
  assert(await a:read_until("x") == nil)
  equal(await a:read_all(), "")
end)

test("read_exactly puts parts together", async function()
  each_split("abcdef", function(parts)
    equal(read_in_parts(parts, "read_exactly", 6), "abcdef")
    equal(read_in_parts(parts, "read_exactly", 4), "abcd")
  end)
end)

test("read_exactly of much is read in place", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local size = 3 << 20
  local text = ("0123456789abcde"):rep(size // 15 + 1):sub(1, size)
  local writing = asyncio.create_task(b:write("head", text, "tail"))
  equal(await a:read_exactly(4), "head")
  assert(await a:read_exactly(size) == text)
  equal(await a:read_exactly(4), "tail")
  await writing
end)

test("a short read_exactly tells what came", async function()
  local a <close>, b = net.pair()
  await b:write("abc")
  b:close()
  local e = expect_error(net.IncompleteReadError, a.read_exactly, a, 10)
  equal({e.partial, e.expected}, {"abc", 10})
  assert(asyncio.iserror(e, asyncio.Error))
  assert(tostring(e):find "read_exactly: .* 3 of 10")
  e = expect_error(net.IncompleteReadError, a.read_exactly, a, 10)
  equal(e.partial, "")
end)

test("read_line gives lines without their newlines", async function()
  local a <close>, b = net.pair()
  await b:write("one\ntwo\r\n\nlast")
  b:close()
  equal(await a:read_line(), "one")
  equal(await a:read_line(), "two\r")
  equal(await a:read_line(), "")
  equal(await a:read_line(), "last")
  assert(await a:read_line() == nil)
end)

test("a line may come in any pieces", async function()
  each_split("a line\n", function(parts)
    equal(read_in_parts(parts, "read_line"), "a line")
  end)
end)

test("a line that is too long is an error and stays", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  await b:write("0123456789\nrest")
  expect_error(net.LimitOverrunError, a.read_line, a, 9)
  equal(await a:read_line(10), "0123456789")
  expect_error(net.LimitOverrunError, a.read_line, a, 3)
  equal(await a:read(), "rest")
end)

test("a line of 64 KiB is read, a longer one is not", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local line = ("x"):rep(65536)
  local writing = asyncio.create_task(b:write(line, "\n", line, "x\n"))
  assert(await a:read_line() == line)
  local e = expect_error(net.LimitOverrunError, a.read_line, a)
  assert(tostring(e):find("65536", 1, true))
  assert(#await a:read_line(100000) == 65537)
  await writing
end)

test("read_until gives the separator too, wherever the pieces part",
    async function()
  for _, sep in ipairs {"\n", "\r\n", "\r\n\r\n", "aab", "aaaa"} do
    each_split("aaaxa" .. sep .. "tail", function(parts)
      local got = read_in_parts(parts, "read_until", sep)
      local want = ("aaaxa" .. sep .. "tail")
      want = want:sub(1, select(2, want:find(sep, 1, true)))
      equal(got, want)
    end)
  end
end)

test("read_until takes a separator with any bytes", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  await b:write("x\0y\0\0z")
  equal(await a:read_until("\0\0"), "x\0y\0\0")
  equal(await a:read(), "z")
end)

test("read_until without its separator tells what came", async function()
  local a <close>, b = net.pair()
  await b:write("abc")
  b:close()
  local e = expect_error(net.IncompleteReadError, a.read_until, a, "--")
  equal(e.partial, "abc")
  assert(await a:read_until("--") == nil)
end)

test("read_until protects from what never ends", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  await b:write("abcdefgh--")
  expect_error(net.LimitOverrunError, a.read_until, a, "--", 7)
  equal(await a:read_until("--", 8), "abcdefgh--")
  local writing = asyncio.create_task(b:write(("x"):rep(1 << 20)))
  expect_error(net.LimitOverrunError, a.read_until, a, "--")
  writing:cancel()
  await asyncio.wait {writing}
end)

test("read_all gives everything", async function()
  local a <close>, b = net.pair()
  local writing = asyncio.create_task((async function()
    for i = 1, 1000 do await b:write(i, ("x"):rep(1000)) end
    b:close()
  end)())
  local all = await a:read_all()
  await writing
  equal(#all, 1000 * 1000 + 9 + 90 * 2 + 900 * 3 + 4)
end)

test("lines gives every line", async function()
  local a <close>, b = net.pair()
  local writing = asyncio.create_task((async function()
    for i = 1, 1000 do await b:write("line ", i, "\n") end
    await b:write("the end")
    b:close()
  end)())
  local n = 0
  for line in a:lines() do
    n = n + 1
    equal(line, n <= 1000 and "line " .. n or "the end")
  end
  equal(n, 1001)
  await writing
end)

test("lines raises at a line that is too long", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  await b:write("ok\nnot ok\n")
  local seen = {}
  expect_error(net.LimitOverrunError, function()
    for line in a:lines(4) do seen[#seen + 1] = line end
  end)
  equal(seen, {"ok"})
end)

test("two tasks cannot read at once", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local first = asyncio.create_task(a:read())
  turns(1)
  for _, name in ipairs {"read", "read_line", "read_all"} do
    expect_error("another task is reading", a[name], a)
  end
  expect_error("another task is reading", a.read_exactly, a, 1)
  expect_error("another task is reading", a.read_until, a, "\n")
  await b:write("for the first")
  equal(await first, "for the first")
end)

test("cancelling a read loses nothing", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local reads = {
    {"read"}, {"read_exactly", 100}, {"read_line"}, {"read_until", "zz"},
    {"read_all"},
  }
  local sent = ""
  for i, read in ipairs(reads) do
    local task = asyncio.create_task(a[read[1]](a, read[2]))
    turns(2)
    if i > 1 then
      await b:write(i, " ")
      sent = sent .. i .. " "
      turns(3)
    end
    task:cancel()
    await asyncio.wait {task}
    assert(task:cancelled())
  end
  equal(await a:read_exactly(#sent), sent)
end)

test("a read that is cancelled just when bytes come loses none",
    async function()
  for delay = 0, 6 do
    local a <close>, b = net.pair()
    local _ <close> = b
    local task = asyncio.create_task(a:read())
    turns(2)
    await b:write("precious")
    turns(delay)
    task:cancel()
    await asyncio.wait {task}
    if task:cancelled() then
      equal(await a:read(), "precious")
    else
      equal(task:result(), "precious")
    end
  end
end)

test("a timeout works around a read", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  expect_error(asyncio.TimeoutError, function()
    local _ <close> = asyncio.timeout(0.01)
    await a:read_exactly(5)
  end)
  await b:write("later")
  equal(await a:read_exactly(5), "later")
end)

test("a reader that does not read makes the writer wait", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local sent, part = 0, ("x"):rep(10000)
  local writing = asyncio.create_task((async function()
    for _ = 1, 1000 do
      await b:write(part)
      sent = sent + #part
    end
    b:close()
  end)())
  equal(#await a:read(1), 1)
  local before
  repeat
    before = sent
    await asyncio.sleep(0.01)
  until sent == before
  assert(sent < 5000000, "all was sent to a reader that does not read")
  equal(#await a:read_all(), 10000000 - 1)
  await writing
end)

test("wrong arguments are named, with the caller's line", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local function wrong(text, name, ...)
    local e = expect_error(text, a[name], a, ...)
    equal(type(e), "string")
    assert(e:find "^%S+%.lua:%d+: ", e)
  end
  wrong("read: n must be at least 0, not -1", "read", -1)
  wrong("read: n must be an integer, not 1.5", "read", 1.5)
  wrong("read: n must be an integer, not table", "read", {})
  wrong("read_exactly: n must be an integer, not no value", "read_exactly")
  wrong("read_exactly: n must be at least 0", "read_exactly", -1)
  wrong("read_line: max must be at least 1, not 0", "read_line", 0)
  wrong("read_until: separator must be a string", "read_until", 5)
  wrong("read_until: separator is empty", "read_until", "")
  wrong("read_until: max must be an integer", "read_until", "x", "y")
end)

test("a dot for a colon is told, wherever it is awaited", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local function tells(f)
    local _, message = pcall(f)
    assert(message:find("read.lua:%d+: bad argument #1 to 'read' %(Stream "
      .. "expected, got no value; is a ':' missing%?%)"), message)
  end
  tells(function() await a.read() end)
  tells(function() local reading = a.read() await reading end)
  tells(function() await asyncio.gather(a.read()) end)
  a:close()
  expect_error("read: the Stream is closed", a.read, a)
end)

test("a cancellation that is due when a read begins counts once",
    async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local task = asyncio.current_task()
  task:cancel()
  local ok, e = asyncio.catch(function() await a:read() end)
  equal({ok, e.name, task:cancelling()}, {false, "CancelledError", 1})
  equal(task:uncancel(), 0)
end)

-- Where a separator was looked for in vain is remembered by its address, which
-- another string may have later.
test("a separator at the address of an earlier one is another", async function()
  local function address(s) return ("%p"):format(s) end
  local a <close>, b = net.pair()
  local _ <close> = b
  local all = {}
  for i = 100, 999 do all[#all + 1] = "b" .. i end
  await a:write(table.concat(all, " "))
  all = nil
  local function look_for(i) -- and be cancelled
    local separator = "a" .. i
    local task = asyncio.create_task(b:read_until(separator))
    await asyncio.sleep(0)
    task:cancel()
    await asyncio.wait {task}
    return address(separator)
  end
  await b:read_exactly(0) -- what comes is there
  for i = 100, 104 do
    local made = {}
    collectgarbage() -- what is free was not free before
    local was = look_for(i)
    collectgarbage()
    for j = 100, 999 do
      made[j] = "b" .. j
      if address(made[j]) == was then
        equal((await b:read_until(made[j])):sub(-4), made[j])
        return
      end
    end
  end -- here no address is used again, so there is nothing to see
end)
