-- Watching files, directories and trees.

local fs = require "neap.fs"
local process = require "neap.process"

-- The next event as "type name", with the names under `dir`.
local function event(watcher, dir)
  local e = await watcher:next()
  if not e then return nil end
  local function short(path) return path:sub(#dir:path() + 2) end
  local text = e.type .. " " .. short(e.path)
  if e.from then text = text .. " from " .. short(e.from) end
  return text .. (e.directory and "/" or "")
end

local function expect(watcher, dir, ...)
  for _, wanted in ipairs {...} do equal(event(watcher, dir), wanted) end
end

test("what happens in a directory is told", async function()
  local dir <close> = await fs.temp_dir()
  local watcher <close> = await fs.watch(dir:path())
  await fs.write_file(dir:path "a", "x")
  expect(watcher, dir, "created a", "changed a")
  await fs.append_file(dir:path "a", "y")
  expect(watcher, dir, "changed a")
  await fs.chmod(dir:path "a", "600")
  expect(watcher, dir, "attributes a")
  await fs.rename(dir:path "a", dir:path "b")
  expect(watcher, dir, "renamed b from a")
  await fs.mkdir(dir:path "d")
  await fs.write_file(dir:path "d/inside", "")
  await fs.remove(dir:path "b")
  expect(watcher, dir, "created d/", "removed b")
  await fs.remove(dir:path "d", {recursive = true})
  expect(watcher, dir, "removed d/")
end)

test("renaming into and out of a watched directory", async function()
  local dir <close> = await fs.temp_dir()
  local other <close> = await fs.temp_dir()
  local watcher <close> = await fs.watch(dir:path())
  await fs.write_file(other:path "a", "")
  await fs.rename(other:path "a", dir:path "a")
  expect(watcher, dir, "created a")
  await fs.rename(dir:path "a", other:path "a")
  expect(watcher, dir, "removed a")
end)

test("a file is watched until it is gone", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir:path "a", "")
  local watcher <close> = await fs.watch(dir:path "a")
  await fs.append_file(dir:path "a", "x")
  expect(watcher, dir, "changed a")
  await fs.remove(dir:path "a")
  expect(watcher, dir, "attributes a", "removed a")
  equal(await watcher:next(), nil)
  assert(watcher:closed())
end)

test("a tree is watched, with what is added to it", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir:path "a/b", {parents = true})
  local watcher <close> = await fs.watch(dir:path(), {recursive = true})
  await fs.write_file(dir:path "a/b/c", "")
  expect(watcher, dir, "created a/b/c")
  await fs.mkdir(dir:path "n/m", {parents = true})
  expect(watcher, dir, "created n/", "created n/m/")
  await fs.write_file(dir:path "n/m/x", "")
  expect(watcher, dir, "created n/m/x")
  await fs.rename(dir:path "n", dir:path "new")
  expect(watcher, dir, "renamed new from n/")
  await fs.write_file(dir:path "new/m/y", "")
  expect(watcher, dir, "created new/m/y")
  await fs.remove(dir:path "new", {recursive = true})
  local gone = {}
  for i = 1, 4 do gone[i] = event(watcher, dir) end
  table.sort(gone)
  equal(gone, {"removed new/", "removed new/m/", "removed new/m/x",
    "removed new/m/y"})
end)

test("every file of many new directories is told once", async function()
  local dir <close> = await fs.temp_dir()
  local watcher <close> = await fs.watch(dir:path(), {recursive = true})
  local making = asyncio.create_task((async function()
    for i = 1, 30 do
      await fs.mkdir(("%s/%d/x"):format(dir, i), {parents = true})
      await fs.write_file(("%s/%d/x/f"):format(dir, i), "")
    end
  end)())
  local told, n = {}, 0
  while n < 90 do
    local e = await watcher:next()
    if e.type == "created" then
      assert(not told[e.path], e.path)
      told[e.path] = true
      n = n + 1
    end
  end
  await making
  await fs.write_file(dir:path "last", "")
  expect(watcher, dir, "created last")
end)

test("a directory that is moved away is no longer told of", async function()
  local dir <close> = await fs.temp_dir()
  local other <close> = await fs.temp_dir()
  await fs.mkdir(dir:path "a/b", {parents = true})
  local watcher <close> = await fs.watch(dir:path(), {recursive = true})
  await fs.rename(dir:path "a", other:path "a")
  expect(watcher, dir, "removed a/")
  await fs.write_file(other:path "a/b/c", "")
  await fs.write_file(dir:path "d", "")
  expect(watcher, dir, "created d")
end)

-- Takes events until one is of that type.
local function skip_to(watcher, type)
  local event
  repeat event = await watcher:next() until event.type == type
  return event
end

test("what was made while events were lost is watched", async function()
  local dir <close> = await fs.temp_dir()
  local most = tonumber(
    (await fs.read_file "/proc/sys/fs/inotify/max_queued_events"))
  if most > 100000 then return end -- by the administrator
  local watcher <close> = await fs.watch(dir:path(), {recursive = true})
  await fs.write_file(dir:path "old", "")
  for _ = 1, most // 2 + 1 do
    assert(os.rename(dir:path "old", dir:path "new"))
    assert(os.rename(dir:path "new", dir:path "old"))
  end
  await fs.mkdir(dir:path "d")
  equal(skip_to(watcher, "overflow").path, dir:path())
  await fs.write_file(dir:path "d/a", "")
  equal(skip_to(watcher, "created").path, dir:path "d/a")
end)

test("a tree is watched but for what we may not read", async function()
  local dir <close> = await fs.temp_dir()
  local neap, root = dir:path "neap", dir:path "root"
  await fs.copy("/proc/" .. process.pid .. "/exe", neap)
  await fs.mkdir(root)
  await fs.mkdir(root .. "/closed", {mode = "0"})
  await fs.chmod(root, "777")
  await fs.chmod(dir:path(), "755")
  local id = await process.run {"id", "-u"}
  await fs.write_file(dir:path "script", [[
    local fs = require "neap.fs"
    local path = ...
    local watcher <close> = await fs.watch(path, {recursive = true})
    await fs.mkdir(path .. "/d", {mode = "0"})
    local event = await watcher:next()
    print(event.type, event.path == path .. "/d")
    await fs.mkdir(path .. "/e")
    event = await watcher:next()
    print(event.type, event.path == path .. "/e")
  ]])
  local result = await process.run({neap, dir:path "script", root},
    {user = id.stdout == "0\n" and "nobody" or nil, check = true})
  equal(result.stdout, "created\ttrue\ncreated\ttrue\n")
end)

test("events are iterated until the watcher is closed", async function()
  local dir <close> = await fs.temp_dir()
  local watcher = await fs.watch(dir:path())
  local names = {}
  local looping = asyncio.create_task((async function()
    for e in watcher:events() do names[#names + 1] = e.type end
    return "ended"
  end)())
  await fs.mkdir(dir:path "a")
  while #names == 0 do await asyncio.sleep(0) end
  watcher:close()
  equal(await looping, "ended")
  equal(names, {"created"})
  for _ in watcher:events() do error("not reached") end
end)

test("a watcher is iterated itself", async function()
  local dir <close> = await fs.temp_dir()
  local watcher <close> = await fs.watch(dir:path())
  await fs.mkdir(dir:path "a")
  for e in watcher do
    equal(e.path, dir:path "a")
    break
  end
end)

test("the removed root ends it", async function()
  local dir <close> = await fs.temp_dir()
  await fs.mkdir(dir:path "a")
  local watcher <close> = await fs.watch(dir:path "a", {recursive = true})
  await fs.remove(dir:path "a")
  local e = await watcher:next()
  equal(e.type, "removed")
  equal(e.path, dir:path "a")
  equal(await watcher:next(), nil)
end)

test("a watcher that is not awaited begins with the loop", async function()
  local dir <close> = await fs.temp_dir()
  local watcher <close> = fs.watch(dir:path())
  local types = {}
  local task = asyncio.create_task((async function()
    for event in watcher do
      types[#types + 1] = event.type
      if event.type == "removed" then break end
    end
  end)())
  while #types == 0 do
    await fs.write_file(dir:path "a", "")
    await asyncio.sleep(0.001)
  end
  await fs.remove(dir:path "a")
  await task
  equal(await watcher, watcher)
  local ok, e = pcall(function() for _ in fs.watch "/none" do end end)
  assert(not ok and e.code == "ENOENT")
end)

test("closing a watcher that has not begun, or is beginning",
    async function()
  local dir <close> = await fs.temp_dir()
  for i = 1, 5 do await fs.mkdir(dir:path(tostring(i))) end
  local watcher = fs.watch(dir, {recursive = true})
  watcher:close()
  watcher:close()
  expect_error("watch: the Watcher is closed",
    function() await watcher end)
  for _ in watcher do error "an event" end
  for turns = 0, 5 do
    watcher = fs.watch(dir, {recursive = true})
    local beginning = asyncio.create_task(watcher)
    for _ = 0, turns do await asyncio.sleep(0) end
    watcher:close()
    local ok, e = pcall(function() await beginning end)
    assert(ok or e.code == "ECLOSED")
  end
  watcher = fs.watch(dir, {recursive = true})
  local beginning = asyncio.create_task(watcher)
  await asyncio.sleep(0)
  expect_error("next: another task is waiting", watcher.next, watcher)
  beginning:cancel()
  await asyncio.wait {beginning}
  assert(watcher:closed())
end)

test("watchers begin together", async function()
  local one, two = await asyncio.gather(fs.watch "/tmp", fs.watch "/")
  one:close()
  two:close()
end)

test("nothing to watch", async function()
  local e = expect_error(asyncio.OSError,
    function() await fs.watch "/none" end)
  equal(e.code, "ENOENT")
  equal(e.path, "/none")
  equal(e.message, "watch /none: no such file or directory")
end)

test("a watcher that there are no descriptors for says so", async function()
  local dir <close> = await fs.temp_dir()
  await fs.write_file(dir:path "script", [[
    local fs = require "neap.fs"
    local watchers = {}
    local ok, e = pcall(function()
      while true do watchers[#watchers + 1] = await fs.watch "/" end
    end)
    print(e.code, e.path, e.message, #watchers > 0)
  ]])
  local result = await process.run({"sh", "-c",
    'ulimit -n 40; exec "$1" "$2"', "sh", "/proc/" .. process.pid .. "/exe",
    dir:path "script"}, {check = true})
  equal(result.stdout, "EMFILE\t/\twatch /: too many open files\ttrue\n")
end)

test("a next that is cancelled loses nothing", async function()
  local dir <close> = await fs.temp_dir()
  local watcher <close> = await fs.watch(dir:path(), {recursive = true})
  local names = 0
  for i = 1, 20 do
    await fs.mkdir(dir:path() .. "/" .. i)
    for turns = 0, 3 do
      local waiting = asyncio.create_task(watcher:next())
      for _ = 1, turns do await asyncio.sleep(0) end
      waiting:cancel()
      await asyncio.wait {waiting}
      if not waiting:cancelled() then names = names + 1 end
    end
    while names < i do
      await watcher:next()
      names = names + 1
    end
  end
  equal(names, 20)
end)

test("one task waits at a time", async function()
  local dir <close> = await fs.temp_dir()
  local watcher <close> = await fs.watch(dir:path())
  local waiting = asyncio.create_task(watcher:next())
  await asyncio.sleep(0)
  expect_error("next: another task is waiting", watcher.next, watcher)
  await fs.mkdir(dir:path "a")
  equal((await waiting).type, "created")
end)
