-- File: reading, writing, seeking.

local fs = require "neap.fs"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

test("the modes of C", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "a"
  local function with(mode, f)
    local file <close> = await fs.open(path, mode)
    return f and f(file)
  end
  equal(expect_error(asyncio.OSError, with, "r").code, "ENOENT")
  equal(expect_error(asyncio.OSError, with, "r+").code, "ENOENT")
  with("w", function(f) await f:write("one") end)
  equal(expect_error(asyncio.OSError, with, "wx").code, "EEXIST")
  with("ab", function(f) await f:write("two") end)
  with("r+b", function(f)
    equal(await f:read(3), "one")
    await f:write("2")
    equal(await f:read(), "wo")
  end)
  equal(await fs.read_file(path), "one2wo")
  with("a+", function(f)
    equal(await f:read(1), "o")
    await f:write("!")
    equal(await f:seek(), 7)
    equal(await f:read(), nil)
  end)
  with("w+", function(f)
    await f:write("abc")
    await f:seek("set")
    equal(await f:read(), "abc")
  end)
  for _, mode in ipairs {"", "q", "rw", "r++", "rx", "w ", "wbb", "a\0"} do
    expect_error("open: invalid mode", fs.open, path, mode)
  end
end)

test("what a file was not opened for is a mistake", async function()
  local dir <close> = await fs.temp_dir()
  local file <close> = await fs.open(dir:path "a", "w")
  expect_error("read: the file was not opened for reading", file.read, file)
  expect_error("not opened for reading", file.read_line, file)
  local other <close> = await fs.open(dir:path "a")
  expect_error("write: the file was not opened for writing", other.write,
    other, "x")
  expect_error("truncate: the file was not opened for writing",
    other.truncate, other)
end)

test("read gives pieces and then nil", async function()
  local dir <close> = await fs.temp_dir()
  local text = {}
  for i = 1, 60000 do text[i] = ("%07d"):format(i) end
  text = table.concat(text)
  await fs.write_file(dir:path "a", text)
  for _, n in ipairs {1000, 65536, 131072, 1 << 20, 1 << 40} do
    local file <close> = await fs.open(dir:path "a")
    local parts = {}
    for part in function() return await file:read(n) end do
      assert(#part == n or #table.concat(parts) + #part == #text)
      parts[#parts + 1] = part
    end
    assert(table.concat(parts) == text)
    equal(await file:read(n), nil)
    equal(await file:read(0), "")
  end
  local file <close> = await fs.open(dir:path "a")
  equal(#await file:read(), 131072)
  assert(await file:read_all() == text:sub(131073))
  equal(await file:read_all(), "")
end)

test("the formats of Lua's io", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir:path "a", "one\ntwo\nthree\nfour")
  local file <close> = await fs.open(dir:path "a")
  equal(await file:read "l", "one")
  equal(await file:read "L", "two\n")
  equal(await file:read "*l", "three")
  equal(await file:read "a", "four")
  equal(await file:read "a", "")
  equal(await file:read "l", nil)
  expect_error("read: unknown format 'n'", file.read, file, "n")
end)

test("lines of every length", async function()
  local dir <close> = await fs.temp_dir()
  for _, last in ipairs {"", "\n", "end", "\n\n"} do
    local lines = {}
    for i = 1, 2000 do lines[i] = ("x"):rep(i * 37 % 300) end
    lines[1000] = ("y"):rep(200000)
    await fs.write_file(dir:path "a", table.concat(lines, "\n") .. last)
    local wanted = {}
    for line in io.lines(dir:path "a") do wanted[#wanted + 1] = line end
    local file <close> = await fs.open(dir:path "a")
    local n = 0
    for line in file:lines() do
      n = n + 1
      assert(line == wanted[n])
    end
    equal(n, #wanted)
  end
end)

test("a line that is too long stays", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir:path "a", ("x"):rep(100) .. "\n" .. ("y"):rep(100))
  local file <close> = await fs.open(dir:path "a")
  expect_error(asyncio.LimitOverrunError, file.read_line, file, 99)
  expect_error(asyncio.LimitOverrunError, file.read_line, file, 99)
  equal(#await file:read_line(100), 100)
  expect_error(asyncio.LimitOverrunError, file.read_line, file, 99)
  equal(#await file:read_line(), 100)
  equal(await file:read_line(99), nil)
end)

test("reading, writing and seeking share one position", async function()
  local dir <close> = await fs.temp_dir()
  local file <close> = await fs.open(dir:path "a", "w+")
  await file:write("0123456789")
  equal(await file:seek("set", 2), 2)
  equal(await file:read(2), "23")
  equal(await file:seek(), 4)
  await file:write("xy")
  equal(await file:read(2), "67")
  equal(await file:seek("cur", -3), 5)
  equal(await file:read(1), "y")
  equal(await file:seek("end", -1), 9)
  equal(await file:read(5), "9")
  equal(await file:seek("set", 20), 20)
  equal(await file:read(), nil)
  await file:write("!")
  equal((await file:stat()).size, 21)
  equal(expect_error(asyncio.OSError, file.seek, file, "set", -1).code,
    "EINVAL")
  equal(expect_error(asyncio.OSError, file.seek, file, "cur",
    math.maxinteger).code, "EINVAL")
  expect_error("seek: whence must be", file.seek, file, "begin")
end)

test("truncate cuts, and fills with zeros", async function()
  local dir <close> = await fs.temp_dir()
  local file <close> = await fs.open(dir:path "a", "w+")
  await file:write("0123456789")
  await file:truncate(4)
  equal((await file:stat()).size, 4)
  await file:truncate(6)
  await file:seek("set", 0)
  equal(await file:read(), "0123\0\0")
  await file:seek("set", 1)
  equal(await file:read(1), "1")
  await file:truncate()
  equal((await file:stat()).size, 2)
  equal(await file:read(), nil)
  await file:sync()
end)

test("a file that grows gives more", async function()
  local dir <close> = await fs.temp_dir()
  local log <close> = await fs.open(dir:path "a", "a")
  local tail <close> = await fs.open(dir:path "a")
  equal(await tail:read_line(), nil)
  await log:write("one\n")
  equal(await tail:read_line(), "one")
  equal(await tail:read_line(), nil)
  await log:write("two\n")
  equal(await tail:read(), "two\n")
end)

test("write takes several strings and numbers", async function()
  local dir <close> = await fs.temp_dir()
  local file <close> = await fs.open(dir:path "a", "w")
  await file:write("a", 1, "b", 2.5, "", "\n")
  await file:write()
  equal(await fs.read_file(dir:path "a"), "a1b2.5\n")
  expect_error("write: argument 2 must be a string, not table", file.write,
    file, "x", {})
  expect_error("write: argument 1 must be a string, not nil", file.write,
    file, nil)
end)

test("many tasks write to one file, each in one piece", async function()
  local dir <close> = await fs.temp_dir()
  for _, mode in ipairs {"w", "a"} do
    local file <close> = await fs.open(dir:path "a", mode)
    local writes = {}
    for i = 1, 200 do
      writes[i] = file:write(("%03d"):format(i):rep(50), "\n")
    end
    await asyncio.gather(writes)
    local n = 0
    for line in io.lines(dir:path "a") do
      n = n + 1
      equal(line, ("%03d"):format(n):rep(50))
    end
    equal(n, 200)
    await fs.remove(dir:path "a")
  end
end)

test("one task at a time reads", async function()
  local file <close> = await fs.open "/proc/self/maps"
  local reading = asyncio.create_task(file:read_all())
  turns(1)
  expect_error("read: another task is reading", file.read, file)
  assert(#await reading > 0)
end)

test("a read that is cancelled loses nothing", async function()
  local dir <close> = await fs.temp_dir()
  local text = {}
  for i = 1, 20000 do text[i] = ("line %d\n"):format(i) end
  text = table.concat(text)
  await fs.write_file(dir:path "a", text)
  local file <close> = await fs.open(dir:path "a")
  local parts = {}
  for i = 1, 100 do
    local reading = asyncio.create_task(file:read(5000))
    turns(i % 4)
    reading:cancel()
    await asyncio.wait {reading}
    if not reading:cancelled() then parts[#parts + 1] = reading:result() end
    parts[#parts + 1] = await file:read(10)
  end
  parts[#parts + 1] = await file:read_all()
  assert(table.concat(parts) == text)
end)

test("what was read ahead is not taken while more comes", async function()
  local dir <close> = await fs.temp_dir()
  local text = {"0000001\n"}
  for i = 2, 3000 do text[i] = i .. ("x"):rep(800) .. "\n" end
  text = table.concat(text)
  await fs.write_file(dir:path "a", text)
  for delay = 0, 3 do
    local file <close> = await fs.open(dir:path "a")
    equal(await file:read_line(), "0000001")
    local reading = asyncio.create_task(file:read(1 << 20))
    turns(delay)
    reading:cancel()
    await asyncio.wait {reading}
    local got = "0000001\n"
    if not reading:cancelled() then got = got .. reading:result() end
    got = got .. await file:read(65528) .. await file:read_all()
    assert(got == text)
  end
end)

test("a write that began is completed though cancelled", async function()
  local dir <close> = await fs.temp_dir()
  local file <close> = await fs.open(dir:path "a", "w")
  local big = ("x"):rep(4 << 20)
  local writing = asyncio.create_task(file:write(big))
  local dropped = asyncio.create_task(file:write("never"))
  turns(1)
  while (await fs.stat(dir:path "a")).size == 0 do end
  writing:cancel()
  dropped:cancel()
  await asyncio.wait {writing, dropped}
  await file:write("end")
  local text = await fs.read_file(dir:path "a")
  assert(text == big .. "end" or text == big .. "neverend", #text)
end)

test("/dev/null and /dev/zero", async function()
  local null <close> = await fs.open("/dev/null", "r+")
  await null:write("x")
  equal(await null:read(), nil)
  local zero <close> = await fs.open "/dev/zero"
  local some = await zero:read(100)
  assert(#some > 0 and not some:find "[^\0]")
  equal(expect_error(asyncio.OSError, zero.seek, zero, "set", 1).code,
    "ESPIPE")
end)

test("a FIFO waits in the loop", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "fifo"
  assert(os.execute("mkfifo '" .. path .. "'"))
  local opening = asyncio.create_task(fs.open(path, "w"))
  local reader <close> = await fs.open(path)
  local reading = asyncio.create_task(reader:read())
  local writer = await opening
  await writer:write("hello\nworld")
  equal(await reading, "hello\nworld")
  local big = ("x"):rep(1 << 20)
  local writing = asyncio.create_task(writer:write(big))
  local second = asyncio.create_task(writer:write("end"))
  local n = 0
  while n < #big + 3 do n = n + #await reader:read() end
  await writing
  await second
  writer:close()
  equal(await reader:read(), nil)
  equal(await reader:read_line(), nil)
end)

test("writing to a FIFO that nobody reads any more fails", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "fifo"
  assert(os.execute("mkfifo '" .. path .. "'"))
  local reader = await fs.open(path)
  local writer <close> = await fs.open(path, "w")
  local writing = asyncio.create_task(writer:write(("x"):rep(1 << 20)))
  turns(3)
  await reader:close()
  local e = expect_error(asyncio.OSError, function() await writing end)
  equal(e.code, "EPIPE")
end)

test("a directory is no file", async function()
  for _, mode in ipairs {"r", "w", "r+"} do
    equal(expect_error(asyncio.OSError, fs.open, "/", mode).code, "EISDIR")
  end
end)

test("failures name the file", async function()
  local e = expect_error(asyncio.OSError, fs.open, "/none")
  equal(e.message, "open /none: no such file or directory")
  equal(e.path, "/none")
  local full <close> = await fs.open("/dev/full", "w")
  e = expect_error(asyncio.OSError, full.write, full, "x")
  equal(e.message, "write /dev/full: no space left on device")
  equal(e.code, "ENOSPC")
  equal(full:path(), "/dev/full")
end)

test("the descriptor is not inherited", async function()
  local file <close> = await fs.open "/dev/zero"
  local pipe = io.popen "ls -l /proc/self/fd"
  local listing = pipe:read "a"
  pipe:close()
  assert(not listing:find("/dev/zero", 1, true), listing)
end)
