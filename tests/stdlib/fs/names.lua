-- What is asked and said about paths.

local fs = require "neap.fs"

test("stat says what is there", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir .. "/a"
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
  await fs.symlink("a", dir .. "/l")
  equal((await fs.stat(dir .. "/l")).type, "file")
  equal((await fs.lstat(dir .. "/l")).type, "link")
  equal((await fs.stat(dir:path())).type, "directory")
  equal((await fs.stat "/dev/null").type, "char")
  local e = expect_error(asyncio.OSError, fs.stat, dir .. "/none")
  equal(e.code, "ENOENT")
  equal(e.path, dir .. "/none")
end)

test("exists follows links", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir .. "/a", "")
  await fs.symlink("none", dir .. "/broken")
  await fs.symlink("loop", dir .. "/loop")
  equal(await fs.exists(dir .. "/a"), true)
  equal(await fs.exists(dir:path()), true)
  for _, name in ipairs {"/none", "/broken", "/loop", "/a/b"} do
    equal(await fs.exists(dir .. name), false)
  end
end)

test("mkdir", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir .. "/a")
  equal(expect_error(asyncio.OSError, fs.mkdir, dir .. "/a").code, "EEXIST")
  equal(expect_error(asyncio.OSError, fs.mkdir, dir .. "/x/y").code,
    "ENOENT")
  for _, path in ipairs {"/x/y/z", "/x/y/z", "/p//q///r/", "/a", "/x/."} do
    await fs.mkdir(dir .. path, {parents = true})
    equal((await fs.stat(dir .. path)).type, "directory")
  end
  await fs.mkdir(dir .. "/m", {mode = "700"})
  equal((await fs.stat(dir .. "/m")).mode, 448)
  await fs.write_file(dir .. "/file", "")
  for _, path in ipairs {"/file", "/file/a"} do
    expect_error(asyncio.OSError, fs.mkdir, dir .. path, {parents = true})
  end
  await fs.mkdir("/", {parents = true})
end)

test("remove", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir .. "/a", "")
  await fs.mkdir(dir .. "/d/e", {parents = true})
  await fs.symlink("d", dir .. "/l")
  await fs.remove(dir .. "/a")
  await fs.remove(dir .. "/l")
  equal(expect_error(asyncio.OSError, fs.remove, dir .. "/d").code,
    "ENOTEMPTY")
  await fs.remove(dir .. "/d/e")
  await fs.remove(dir .. "/d")
  local e = expect_error(asyncio.OSError, fs.remove, dir .. "/d")
  equal(e.message, "remove " .. dir .. "/d: no such file or directory")
  expect_error(asyncio.OSError, fs.remove, dir .. "/d", {recursive = true})
  await fs.remove(dir .. "/d", {missing_ok = true})
  await fs.remove(dir .. "/d", {missing_ok = true, recursive = true})
  equal(#await fs.scandir(dir:path()), 0)
end)

test("remove of a tree does not follow links", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir .. "/kept")
  await fs.write_file(dir .. "/kept/a", "")
  await fs.mkdir(dir .. "/tree/b/c", {parents = true})
  await fs.symlink("../../kept", dir .. "/tree/b/link")
  for i = 1, 500 do await fs.write_file(dir .. "/tree/b/" .. i, "") end
  await fs.remove(dir .. "/tree", {recursive = true})
  equal(await fs.exists(dir .. "/tree"), false)
  equal(await fs.exists(dir .. "/kept/a"), true)
  await fs.remove(dir .. "/kept/a", {recursive = true})
  equal(await fs.exists(dir .. "/kept/a"), false)
end)

test("rename, link, symlink, readlink, realpath", async function()
  local dir <close> = await fs.temp_dir()
  local a, b, c = dir .. "/a", dir .. "/b", dir .. "/c"
  await fs.write_file(a, "text")
  await fs.rename(a, b)
  equal(await fs.exists(a), false)
  await fs.link(b, c)
  equal((await fs.stat(c)).nlink, 2)
  await fs.symlink("b", a)
  equal(await fs.readlink(a), "b")
  equal(await fs.realpath(a), await fs.realpath(b))
  local e = expect_error(asyncio.OSError, fs.rename, dir .. "/x", dir .. "/y")
  equal(e.path, dir .. "/x")
  equal(e.dest, dir .. "/y")
  equal(e.message, ("rename %s -> %s: no such file or directory"):format(
    e.path, e.dest))
  equal(expect_error(asyncio.OSError, fs.readlink, b).code, "EINVAL")
  equal(expect_error(asyncio.OSError, fs.link, b, c).code, "EEXIST")
  equal(expect_error(asyncio.OSError, fs.symlink, b, c).code, "EEXIST")
  equal(expect_error(asyncio.OSError, fs.realpath, dir .. "/x").code,
    "ENOENT")
end)

test("chmod and utime", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir .. "/a"
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
  local a, b = dir .. "/a", dir .. "/b"
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
  assert(os.execute("mkfifo '" .. dir .. "/fifo'"))
  expect_error(asyncio.OSError, fs.copy, dir .. "/fifo", dir .. "/c")
end)

test("copy of a tree", async function()
  local dir <close> = await fs.temp_dir()
  local from, to = dir .. "/from", dir .. "/to"
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
  await fs.copy(from .. "/x/a", dir .. "/single", {recursive = true})
  equal(await fs.read_file(dir .. "/single"), "new")
end)

test("cancelling the removal of a tree stops it", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir .. "/t")
  for i = 1, 100 do await fs.write_file(dir .. "/t/" .. i, "") end
  local removing = asyncio.create_task(
    fs.remove(dir .. "/t", {recursive = true}))
  await asyncio.sleep(0)
  removing:cancel()
  await asyncio.wait {removing}
  assert(removing:cancelled())
end)
