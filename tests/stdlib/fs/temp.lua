-- Temporary files and directories.

local fs = require "neap.fs"

test("a temporary file is removed when it is closed", async function()
  local file = await fs.temp_file()
  local path = file:path()
  equal((await fs.stat(path)).mode, 384)
  await file:write("text")
  await file:seek("set", 0)
  equal(await file:read(), "text")
  await file:close()
  equal(await fs.exists(path), false)
end)

test("names are made of prefix and suffix", async function()
  local dir <close> = await fs.temp_dir {prefix = "test-", suffix = ".d"}
  assert(dir:path():find "/test%-%w+%.d$", dir:path())
  equal(tostring(dir), dir:path())
  equal(dir:path "a", tostring(dir) .. "/a")
  equal(dir .. "/a", dir:path "a")
  equal("x" .. dir .. 1, "x" .. dir:path() .. "1")
  expect_error("attempt to concatenate a table value",
    function() return dir .. {} end)
  local file <close> = await fs.temp_file {
    dir = dir:path(), prefix = "", suffix = ".txt",
  }
  assert(file:path():find("^" .. dir:path():gsub("%p", "%%%0") ..
    "/%w+%.txt$"))
end)

test("a temporary directory is a path", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path()
  assert(await fs.exists(dir))
  equal((await fs.stat(dir)).type, "directory")
  equal(await fs.realpath(dir), await fs.realpath(path))
  local file <close> = await fs.temp_file{dir = dir, keep = true}
  equal((await fs.scandir(dir))[1].path, file:path())
  equal((await fs.walk(dir))[1].path, file:path())
  equal(#await fs.glob("*", {root = dir}), 1)
  local watcher <close> = await fs.watch(dir)
  equal(watcher.path, path)
  await fs.copy(dir, dir .. ".copy", {recursive = true})
  await fs.copy(dir .. ".copy", dir, {recursive = true})
  await fs.remove(dir .. ".copy", {recursive = true})
  await fs.chmod(dir, "700")
  local e = expect_error(asyncio.OSError, fs.read_file, dir)
  equal(e.message, "read_file " .. path .. ": illegal operation on a directory")
  await fs.remove(dir, {recursive = true})
  equal(await fs.exists(dir), false)
end)

test("what is to be kept is kept", async function()
  local dir <close> = await fs.temp_dir()
  local file = await fs.temp_file {dir = dir:path(), keep = true}
  local inner = await fs.temp_dir {dir = dir:path(), keep = true}
  await file:close()
  await inner:close()
  equal(#await fs.scandir(dir:path()), 2)
end)

test("a temporary directory is removed with all in it", async function()
  local dir = await fs.temp_dir()
  await fs.mkdir(dir:path "a/b", {parents = true})
  await fs.write_file(dir:path "a/b/c", "")
  local path = dir:path()
  await dir:close()
  equal(await fs.exists(path), false)
  await dir:close()
end)

test("a temporary directory that is gone already", async function()
  local dir = await fs.temp_dir()
  await fs.remove(dir:path())
  await dir:close()
end)

test("no directory, no temporary file", async function()
  local e = expect_error(asyncio.OSError, fs.temp_file, {dir = "/none"})
  equal(e.code, "ENOENT")
  expect_error(asyncio.OSError, fs.temp_dir, {dir = "/none"})
end)

test("what a cancelled task has made is removed", async function()
  local dir <close> = await fs.temp_dir()
  for _, make in ipairs {fs.temp_file, fs.temp_dir} do
    for turns = 0, 5 do
      local making = asyncio.create_task(make {dir = dir:path()})
      for _ = 1, turns do await asyncio.sleep(0) end
      making:cancel()
      await asyncio.wait {making}
      if not making:cancelled() then making:result():close() end
    end
  end
  repeat
    collectgarbage()
    await asyncio.sleep(0.002)
  until #await fs.scandir(dir:path()) == 0
end)
