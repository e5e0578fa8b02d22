-- What is asked and said about paths.

local fs = require "neap.fs"

test("stat says what is there", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "a"
  await fs.write_file(path, "12345", {mode = "640"})
  local st = await fs.stat(path)
  equal(st.type, "file")
  equal(st.size, 5)
  equal(st.mode, 416)
  equal(st.nlink, 1)
  assert(math.type(st.ino) == "integer" and st.uid and st.gid and st.dev)
  for _, name in ipairs {"mtime", "atime", "ctime", "birthtime"} do
    assert(math.abs(st[name] - os.time()) < 100, name)
  end
  await fs.symlink("a", dir:path "l")
  equal((await fs.stat(dir:path "l")).type, "file")
  equal((await fs.lstat(dir:path "l")).type, "link")
  equal((await fs.stat(dir:path())).type, "directory")
  equal((await fs.stat "/dev/null").type, "char")
  local e = expect_error(asyncio.OSError, fs.stat, dir:path "none")
  equal(e.code, "ENOENT")
  equal(e.path, dir:path "none")
end)

test("exists follows links", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir:path "a", "")
  await fs.symlink("none", dir:path "broken")
  await fs.symlink("loop", dir:path "loop")
  equal(await fs.exists(dir:path "a"), true)
  equal(await fs.exists(dir:path()), true)
  for _, name in ipairs {"/none", "/broken", "/loop", "/a/b"} do
    equal(await fs.exists(dir:path() .. name), false)
  end
end)

test("mkdir", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir:path "a")
  equal(expect_error(asyncio.OSError, fs.mkdir, dir:path "a").code, "EEXIST")
  equal(expect_error(asyncio.OSError, fs.mkdir, dir:path "x/y").code,
    "ENOENT")
  for _, path in ipairs {"/x/y/z", "/x/y/z", "/p//q///r/", "/a", "/x/."} do
    await fs.mkdir(dir:path() .. path, {parents = true})
    equal((await fs.stat(dir:path() .. path)).type, "directory")
  end
  await fs.mkdir(dir:path "m", {mode = "700"})
  equal((await fs.stat(dir:path "m")).mode, 448)
  await fs.write_file(dir:path "file", "")
  for _, path in ipairs {"/file", "/file/a"} do
    expect_error(asyncio.OSError, fs.mkdir, dir:path() .. path,
      {parents = true})
  end
  await fs.mkdir("/", {parents = true})
end)

test("remove", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir:path "a", "")
  await fs.mkdir(dir:path "d/e", {parents = true})
  await fs.symlink("d", dir:path "l")
  await fs.remove(dir:path "a")
  await fs.remove(dir:path "l")
  equal(expect_error(asyncio.OSError, fs.remove, dir:path "d").code,
    "ENOTEMPTY")
  await fs.remove(dir:path "d/e")
  await fs.remove(dir:path "d")
  local e = expect_error(asyncio.OSError, fs.remove, dir:path "d")
  equal(e.message, "remove " .. dir:path() .. "/d: no such file or directory")
  expect_error(asyncio.OSError, fs.remove, dir:path "d", {recursive = true})
  await fs.remove(dir:path "d", {missing_ok = true})
  await fs.remove(dir:path "d", {missing_ok = true, recursive = true})
  equal(#await fs.scandir(dir:path()), 0)
end)

test("remove of a tree does not follow links", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir:path "kept")
  await fs.write_file(dir:path "kept/a", "")
  await fs.mkdir(dir:path "tree/b/c", {parents = true})
  await fs.symlink("../../kept", dir:path "tree/b/link")
  for i = 1, 500 do await fs.write_file(dir:path() .. "/tree/b/" .. i, "") end
  await fs.remove(dir:path "tree", {recursive = true})
  equal(await fs.exists(dir:path "tree"), false)
  equal(await fs.exists(dir:path "kept/a"), true)
  await fs.remove(dir:path "kept/a", {recursive = true})
  equal(await fs.exists(dir:path "kept/a"), false)
end)

test("rename, link, symlink, readlink, realpath", async function()
  local dir <close> = await fs.temp_dir()
  local a, b, c = dir:path "a", dir:path "b", dir:path "c"
  await fs.write_file(a, "text")
  await fs.rename(a, b)
  equal(await fs.exists(a), false)
  await fs.link(b, c)
  equal((await fs.stat(c)).nlink, 2)
  await fs.symlink("b", a)
  equal(await fs.readlink(a), "b")
  equal(await fs.realpath(a), await fs.realpath(b))
  local e = expect_error(asyncio.OSError, fs.rename, dir:path "x",
    dir:path "y")
  equal(e.path, dir:path "x")
  equal(e.dest, dir:path "y")
  equal(e.message, ("rename %s -> %s: no such file or directory"):format(
    e.path, e.dest))
  equal(expect_error(asyncio.OSError, fs.readlink, b).code, "EINVAL")
  equal(expect_error(asyncio.OSError, fs.link, b, c).code, "EEXIST")
  equal(expect_error(asyncio.OSError, fs.symlink, b, c).code, "EEXIST")
  equal(expect_error(asyncio.OSError, fs.realpath, dir:path "x").code,
    "ENOENT")
end)

test("chmod and utime", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "a"
  await fs.write_file(path, "")
  for mode, bits in pairs {["755"] = 493, [384] = 384, ["0"] = 0} do
    await fs.chmod(path, mode)
    equal((await fs.stat(path)).mode, bits)
  end
  await fs.utime(path, 1000.5, 2000.25)
  local st = await fs.stat(path)
  equal(st.atime, 1000.5)
  equal(st.mtime, 2000.25)
  await fs.utime(path, 3000)
  equal((await fs.stat(path)).mtime, 3000.0)
  await fs.utime(path)
  assert(math.abs((await fs.stat(path)).mtime - os.time()) < 100)
end)

test("copy", async function()
  local dir <close> = await fs.temp_dir()
  local a, b = dir:path "a", dir:path "b"
  local text = ("text\0"):rep(100000)
  await fs.write_file(a, text, {mode = "600"})
  await fs.copy(a, b)
  assert(await fs.read_file(b) == text)
  equal((await fs.stat(b)).mode, 384)
  local e = expect_error(asyncio.OSError, fs.copy, a, b, {overwrite = false})
  equal(e.code, "EEXIST")
  await fs.write_file(a, "new")
  await fs.copy(a, b)
  equal(await fs.read_file(b), "new")
  equal(expect_error(asyncio.OSError, fs.copy, dir:path(), b).code, "EISDIR")
  equal(await fs.read_file(b), "new")
  assert(os.execute("mkfifo '" .. dir:path() .. "/fifo'"))
  expect_error(asyncio.OSError, fs.copy, dir:path "fifo", dir:path "c")
end)

test("a copy replaces files only", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir:path "a", "text")
  assert(os.execute("mkfifo '" .. dir:path() .. "/fifo'"))
  local reader <close> = await fs.open(dir:path "fifo")
  local e = expect_error(asyncio.OSError, fs.copy, dir:path "a",
    dir:path "fifo")
  equal(e.code, "EINVAL")
  equal((await fs.stat(dir:path "fifo")).type, "fifo")
  await fs.copy(dir:path "a", dir:path "a")
  equal(await fs.read_file(dir:path "a"), "text")
end)

test("a copy that is cancelled is whole or gone", async function()
  local dir <close> = await fs.temp_dir()
  local a, b, size = dir:path "a", dir:path "b", 40 << 20
  await fs.write_file(a, ("x"):rep(size))
  local copying = asyncio.create_task(fs.copy(a, b))
  while not await fs.exists(b) do await asyncio.sleep(0) end
  copying:cancel()
  await asyncio.wait {copying}
  local function size_of() return (await fs.stat(b)).size end
  local is_there, found
  repeat is_there, found = pcall(size_of) until not is_there or found == size
end)

test("the holes of a file stay holes", async function()
  local dir <close> = await fs.temp_dir()
  local a, b = dir:path "a", dir:path "b"
  do
    local file <close> = await fs.open(a, "w")
    await file:seek("set", 1 << 34)
    await file:write "middle"
    await file:truncate(1 << 35)
  end
  if (await fs.stat(a)).blocks > 1 << 20 then return end -- has no holes here
  await fs.copy(a, b)
  local st = await fs.stat(b)
  equal(st.size, 1 << 35)
  assert(st.blocks < 1 << 20)
  local file <close> = await fs.open(b)
  await file:seek("set", (1 << 34) - 1)
  equal(await file:read(8), "\0middle\0")
end)

test("a copy of a file that does not know its size is whole", async function()
  local path = "/proc/self/cmdline"
  if not await fs.exists(path) then return end
  local dir <close> = await fs.temp_dir()
  await fs.copy(path, dir:path "a")
  local text = await fs.read_file(dir:path "a")
  equal(text, await fs.read_file(path))
  assert(#text > 0)
end)

test("copy of a tree", async function()
  local dir <close> = await fs.temp_dir()
  local from, to = dir:path "from", dir:path "to"
  await fs.mkdir(from .. "/x/y", {parents = true})
  await fs.mkdir(from .. "/closed")
  await fs.write_file(from .. "/x/a", "a")
  await fs.write_file(from .. "/x/y/b", "b")
  await fs.write_file(from .. "/closed/c", "c")
  await fs.symlink("x/a", from .. "/link")
  await fs.chmod(from .. "/closed", "500")
  await fs.copy(from .. "/", to, {recursive = true})
  equal(await fs.read_file(to .. "/x/y/b"), "b")
  equal(await fs.read_file(to .. "/closed/c"), "c")
  equal(await fs.readlink(to .. "/link"), "x/a")
  equal((await fs.stat(to .. "/closed")).mode, 320)
  await fs.write_file(from .. "/x/a", "new")
  await fs.copy(from, to, {recursive = true})
  equal(await fs.read_file(to .. "/link"), "new")
  expect_error("copy: dest is in path", fs.copy, from, from .. "/x/z",
    {recursive = true})
  await fs.copy(from .. "/x/a", dir:path "single", {recursive = true})
  equal(await fs.read_file(dir:path "single"), "new")
end)

test("cancelling the removal of a tree stops it", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir:path "t")
  for i = 1, 100 do await fs.write_file(dir:path() .. "/t/" .. i, "") end
  local removing = asyncio.create_task(
    fs.remove(dir:path "t", {recursive = true}))
  await asyncio.sleep(0)
  removing:cancel()
  await asyncio.wait {removing}
  assert(removing:cancelled())
end)

test("outside of a task nothing is begun", async function()
  local dir <close> = await fs.temp_dir()
  local path, failure = dir:path "a"
  await fs.write_file(path, "")
  asyncio.get_running_loop():call_soon(function()
    local _
    _, failure = pcall(function() await fs.remove(path) end)
  end)
  while not failure do await asyncio.sleep(0) end
  assert(tostring(failure):find "await outside a task", failure)
  equal(await fs.exists(path), true)
end)
