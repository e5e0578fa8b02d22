-- read_file, write_file, append_file.

local fs = require "neap.fs"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

test("what is written is read", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "a"
  for _, text in ipairs {"", "x", ("line\n"):rep(1000), ("\0\255"):rep(1 << 20)}
  do
    await fs.write_file(path, text)
    assert(await fs.read_file(path) == text)
  end
  await fs.write_file(path, 42)
  equal(await fs.read_file(path), "42")
end)

test("append_file adds at the end", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "a"
  await fs.append_file(path, "one\n")
  await fs.append_file(path, "two\n", {sync = true})
  equal(await fs.read_file(path), "one\ntwo\n")
end)

test("files that do not know their size are read whole", async function()
  assert(#await fs.read_file "/proc/self/status" > 100)
  assert((await fs.read_file "/proc/self/maps"):find "neap")
  equal(await fs.read_file "/dev/null", "")
end)

test("the mode is that of a new file", async function()
  local dir <close> = await fs.temp_dir()
  for mode, bits in pairs {["600"] = 384, [416] = 416} do
    local path = dir:path() .. "/" .. bits
    await fs.write_file(path, "x", {mode = mode})
    equal((await fs.stat(path)).mode, bits)
    await fs.write_file(path, "y", {mode = "644"})
    equal((await fs.stat(path)).mode, bits)
  end
end)

test("an atomic write replaces all or nothing", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "state"
  local old, new = ("a"):rep(300000), ("b"):rep(300000)
  await fs.write_file(path, old, {atomic = true, mode = "600"})
  local stop = false
  local reading = asyncio.create_task((async function()
    while not stop do
      local text = await fs.read_file(path)
      assert(text == old or text == new)
    end
  end)())
  for i = 1, 10 do
    await fs.write_file(path, i % 2 == 0 and old or new, {atomic = true})
  end
  stop = true
  await reading
  equal((await fs.stat(path)).mode, 384)
  equal(#await fs.scandir(dir:path()), 1)
end)

test("an atomic write keeps a link a link", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir:path "real", "old")
  await fs.symlink("real", dir:path "link")
  await fs.write_file(dir:path "link", "new", {atomic = true})
  equal(await fs.read_file(dir:path "real"), "new")
  equal((await fs.lstat(dir:path "link")).type, "link")
end)

test("an atomic write makes what a broken link leads to", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir:path "d")
  await fs.symlink("d/b", dir:path "a")
  await fs.symlink("../c", dir:path "d/b")
  await fs.write_file(dir:path "a", "new", {atomic = true})
  equal(await fs.read_file(dir:path "c"), "new")
  equal((await fs.lstat(dir:path "a")).type, "link")
  equal((await fs.lstat(dir:path "d/b")).type, "link")
  await fs.symlink(dir:path "circle", dir:path "circle")
  local e = expect_error(asyncio.OSError, fs.write_file, dir:path "circle",
    "x", {atomic = true})
  equal(e.code, "ELOOP")
end)

test("an atomic write keeps the owner", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "a"
  await fs.write_file(path, "old")
  os.execute("chown 12345:12346 '" .. path .. "' 2>/dev/null") -- if root
  await fs.chmod(path, "4751")
  local before = await fs.stat(path)
  await fs.write_file(path, "new", {atomic = true})
  local after = await fs.stat(path)
  assert(after.ino ~= before.ino)
  equal({after.uid, after.gid, after.mode}, {before.uid, before.gid,
    before.mode})
end)

test("an atomic write replaces files only", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "fifo"
  assert(os.execute("mkfifo '" .. path .. "'"))
  local e = expect_error(asyncio.OSError, fs.write_file, path, "x",
    {atomic = true})
  equal(e.code, "EINVAL")
  equal((await fs.stat(path)).type, "fifo")
  equal(#await fs.scandir(dir:path()), 1)
end)

test("an atomic write that fails leaves nothing behind", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir:path "d")
  local e = expect_error(asyncio.OSError, fs.write_file, dir:path "d", "x",
    {atomic = true})
  equal(e.code, "EISDIR")
  e = expect_error(asyncio.OSError, fs.write_file, dir:path "none/a", "x",
    {atomic = true})
  equal(e.code, "ENOENT")
  equal(#await fs.scandir(dir:path()), 1)
end)

test("failures say what, where and why", async function()
  local e = expect_error(asyncio.OSError, fs.read_file, "/none/at all")
  equal(e.code, "ENOENT")
  equal(e.path, "/none/at all")
  equal(e.message, "read_file /none/at all: no such file or directory")
  e = expect_error(asyncio.OSError, function()
    local text = await fs.read_file "/none"
    return text
  end)
  assert(tostring(e):find "whole.lua:%d+: read_file /none", tostring(e))
  e = expect_error(asyncio.OSError, fs.read_file, "/")
  equal(e.code, "EISDIR")
  e = expect_error(asyncio.OSError, fs.write_file, "/", "x")
  equal(e.code, "EISDIR")
  e = expect_error(asyncio.OSError, fs.append_file, "/none/a", "x")
  equal(e.message, "append_file /none/a: no such file or directory")
end)

test("many files are read at the same time", async function()
  local dir <close> = await fs.temp_dir()
  local writes, reads = {}, {}
  for i = 1, 300 do
    writes[i] = fs.write_file(dir:path() .. "/" .. i, ("%d;"):format(i):rep(i))
  end
  await asyncio.gather(writes)
  for i = 1, 300 do reads[i] = fs.read_file(dir:path() .. "/" .. i) end
  local texts = await asyncio.gather(reads)
  for i = 1, 300 do equal(texts[i], ("%d;"):format(i):rep(i)) end
end)

test("paths have any bytes but NUL", async function()
  local dir <close> = await fs.temp_dir()
  for _, name in ipairs {
    "a b", "new\nline", "\xff\xfe\x80", "-rf", "%s%d", "*?[", "ü",
  } do
    local path = dir:path() .. "/" .. name
    await fs.write_file(path, name)
    equal(await fs.read_file(path), name)
    equal(await fs.realpath(path), path)
  end
  local names = {}
  for entry in fs.scandir(dir:path()) do
    names[#names + 1] = entry.name
    equal(await fs.read_file(entry.path), entry.name)
  end
  equal(#names, 7)
end)

test("the loop goes on while a file is read", async function()
  local dir <close> = await fs.temp_dir()
  local path, turned = dir:path "big", 0
  await fs.write_file(path, ("x"):rep(32 << 20))
  repeat -- a busy machine may have run the thread alone
    local reading = asyncio.create_task(fs.read_file(path))
    while not reading:done() do
      await asyncio.sleep(0)
      turned = turned + 1
    end
    equal(#reading:result(), 32 << 20)
  until turned > 10
end)

local function fifo(dir)
  local path = dir:path "fifo"
  assert(os.execute("mkfifo '" .. path .. "'"))
  return path
end

test("a FIFO is read and written whole", async function()
  local dir <close> = await fs.temp_dir()
  local path = fifo(dir)
  local reading = asyncio.create_task(fs.read_file(path))
  await fs.write_file(path, ("x"):rep(300000))
  equal(#await reading, 300000)
  local writing = asyncio.create_task(fs.append_file(path, "later"))
  await asyncio.sleep(0.02)
  assert(not writing:done())
  equal(await fs.read_file(path), "later")
  await writing
end)

test("more FIFOs than threads hold up nobody", async function()
  local dir <close> = await fs.temp_dir()
  local readings = {}
  for i = 1, 20 do
    local path = dir:path() .. "/" .. i
    assert(os.execute("mkfifo '" .. path .. "'"))
    readings[i] = asyncio.create_task(fs.read_file(path))
  end
  turns(3)
  await fs.write_file(dir:path "plain", "x")
  for i = 1, 20 do await fs.write_file(dir:path() .. "/" .. i, "y") end
  for i = 1, 20 do equal(await readings[i], "y") end
end)
