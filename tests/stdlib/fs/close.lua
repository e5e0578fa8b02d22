-- The rule of closing, for files, directories, watchers and temporary ones.

local fs = require "neap.fs"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

local function collect()
  for _ = 1, 3 do
    collectgarbage()
    await asyncio.sleep(0)
  end
end

local function descriptors()
  return #await fs.scandir "/proc/self/fd"
end

-- Descriptors are closed in the background.
local function settled(wanted)
  repeat
    collect()
    await asyncio.sleep(0.002)
  until descriptors() <= wanted
end

local function fifo(dir)
  local path = dir:path "fifo"
  assert(os.execute("mkfifo '" .. path .. "'"))
  return path
end

-- == Files ==============================================================

test("closing a file twice is harmless", async function()
  local file = await fs.open "/dev/null"
  assert(not file:closed())
  file:close()
  file:close()
  await file:close()
  await file:close()
  assert(file:closed())
  equal(tostring(file), "File (closed)")
  equal(file:path(), "/dev/null")
end)

test("a closed file refuses everything", async function()
  local file = await fs.open("/dev/null", "r+")
  await file:close()
  for _, name in ipairs {
    "read", "read_line", "read_all", "write", "seek", "truncate", "sync",
    "stat",
  } do
    expect_error("File is closed", file[name], file)
  end
  local lines = file:lines()
  expect_error("File is closed", lines)
end)

test("the end of a scope closes a file", async function()
  local before = descriptors()
  local file
  do
    local inner <close> = await fs.open "/dev/null"
    file = inner
  end
  assert(file:closed())
  await file:close()
  settled(before)
end)

test("a file that is collected is closed", async function()
  local before = descriptors()
  for _ = 1, 20 do await fs.open "/proc/self/status" end
  for _ = 1, 20 do
    local file = await fs.open "/dev/zero"
    await file:read(1)
  end
  settled(before)
end)

test("closing under operations ends them", async function()
  local dir <close> = await fs.temp_dir()
  for name, argument in pairs {
    read = 10, read_line = false, read_all = false, write = "x",
    seek = "end", truncate = 5, sync = false, stat = false,
  } do
    local file = await fs.open(dir:path "a", "w+")
    local first = asyncio.create_task(file:write(("x"):rep(1 << 20)))
    local task = asyncio.create_task(file[name](file, argument or nil))
    turns(1)
    file:close()
    local e = expect_error("was closed", function() await task end)
    equal(e.code, "ECLOSED")
    expect_error("was closed", function() await first end)
    await file:close()
  end
end)

test("closing under a read of a FIFO ends it", async function()
  local dir <close> = await fs.temp_dir()
  local file = await fs.open(fifo(dir))
  local reading = asyncio.create_task(file:read())
  turns(2)
  file:close()
  local e = expect_error("was closed", function() await reading end)
  equal(e.message, "read " .. dir:path() .. "/fifo: it was closed")
  await file:close()
end)

test("closing under a write to a FIFO ends it", async function()
  local dir <close> = await fs.temp_dir()
  local path = fifo(dir)
  local reader <close> = await fs.open(path)
  local file = await fs.open(path, "w")
  local writings = {}
  for i = 1, 3 do
    writings[i] = asyncio.create_task(file:write(("x"):rep(1 << 20)))
  end
  turns(2)
  file:close()
  for i = 1, 3 do
    expect_error("was closed", function() await writings[i] end)
  end
  await file:close()
end)

test("cancelling at each await leaves the file usable", async function()
  local dir <close> = await fs.temp_dir()
  local file <close> = await fs.open(dir:path "a", "w+")
  for name, argument in pairs {
    read = 10, read_line = false, read_all = false, write = "x",
    seek = "end", truncate = 5, sync = false, stat = false,
  } do
    for delay = 0, 3 do
      local writing = asyncio.create_task(file:write(("y"):rep(100000)))
      local task = asyncio.create_task(file[name](file, argument or nil))
      turns(delay)
      task:cancel()
      await asyncio.wait {task}
      await writing
    end
  end
  await file:seek("set", 0)
  assert(#await file:read_all() > 0)
end)

test("cancelling operations on FIFOs leaves them usable", async function()
  local dir <close> = await fs.temp_dir()
  local path = fifo(dir)
  local opening = asyncio.create_task(fs.open(path, "w"))
  await asyncio.sleep(0.015)
  opening:cancel()
  await asyncio.wait {opening}
  local reader <close> = await fs.open(path)
  local file <close> = await fs.open(path, "w")
  local reading = asyncio.create_task(reader:read())
  turns(2)
  reading:cancel()
  await asyncio.wait {reading}
  local writing = asyncio.create_task(file:write(("x"):rep(1 << 20)))
  local dropped = asyncio.create_task(file:write("dropped"))
  turns(2)
  writing:cancel()
  dropped:cancel()
  await asyncio.wait {writing, dropped}
  local rest = asyncio.create_task(file:write("end"))
  local n = 0
  while n < (1 << 20) + 3 do n = n + #await reader:read() end
  equal(n, (1 << 20) + 3)
  await rest
end)

test("a file that is collected while a job of it runs", async function()
  local dir <close> = await fs.temp_dir()
  local before = descriptors()
  for i = 1, 20 do
    local file = await fs.open(dir:path "a", "w+")
    local task = asyncio.create_task(
      i % 2 == 0 and file:write(("x"):rep(1 << 20)) or file:read(10))
    turns(1)
    task:cancel()
    await asyncio.wait {task}
    file, task = nil, nil
    collect()
  end
  settled(before)
end)

-- == Paths ==============================================================

test("cancelling what works on paths", async function()
  local dir <close> = await fs.temp_dir()
  local before = descriptors()
  local path = dir:path "a"
  await fs.write_file(path, ("x"):rep(100000))
  local calls = {
    function() return fs.open(path) end,
    function() return fs.read_file(path) end,
    function() return fs.write_file(path, "y") end,
    function() return fs.write_file(path, "y", {atomic = true}) end,
    function() return fs.append_file(path, "y") end,
    function() return fs.stat(path) end,
    function() return fs.exists(path) end,
    function() return fs.mkdir(path, {parents = true}) end,
    function() return fs.copy(path, dir:path "b") end,
    function() return fs.realpath(path) end,
    function() return fs.watch(dir:path(), {recursive = true}) end,
  }
  for _, call in ipairs(calls) do
    for delay = 0, 4 do
      local task = asyncio.create_task(call())
      turns(delay)
      task:cancel()
      await asyncio.wait {task}
      if not task:cancelled() and task:exception() then
        assert(task:exception().code == "EEXIST", task:exception())
      end
    end
  end
  settled(before)
end)

test("jobs cancelled at once are done whole or not at all", async function()
  local dir <close> = await fs.temp_dir()
  local tasks = {}
  for i = 1, 500 do
    tasks[i] = asyncio.create_task(fs.write_file(dir:path() .. "/" .. i, "x"))
  end
  turns(1)
  for i = 1, 500 do tasks[i]:cancel() end
  await asyncio.wait(tasks)
  await fs.stat "/"
  for entry in fs.scandir(dir:path()) do
    equal((await fs.stat(entry.path)).size <= 1, true)
  end
end)

-- == Directories ========================================================

local function full()
  local dir = await fs.temp_dir()
  local writes = {}
  for i = 1, 1500 do
    writes[i] = fs.write_file(dir:path() .. "/" .. ("x"):rep(60) .. i, "")
  end
  await asyncio.gather(writes)
  return dir
end

test("iterators of directories are closed in each way", async function()
  local dir <close> = full()
  local before = descriptors()
  for _, make in ipairs {
    function() return fs.scandir(dir:path()) end,
    function() return fs.walk(dir:path()) end,
    function() return fs.glob("x*", {root = dir:path()}) end,
  } do
    local one <close> = make()
    assert(one())
    local two = make()
    two()
    two:close()
    two:close()
    equal(two(), nil)
    make():close()
    local three = make()
    three()
    three = nil
    make()
  end
  settled(before)
end)

local iterators = {
  scandir = function(dir) return fs.scandir(dir:path()) end,
  walk = function(dir) return fs.walk(dir:path()) end,
  ["walk, following"] = function(dir)
    return fs.walk(dir:path(), {follow = true})
  end,
  glob = function(dir) return fs.glob("*", {root = dir:path()}) end,
}

local async function step(iterator) return iterator() end

test("an iterator is closed under a waiting task", async function()
  local dir <close> = full()
  for _, make in pairs(iterators) do
    for delay = 0, 4 do
      local iterator = make(dir)
      local task = asyncio.create_task(step(iterator))
      turns(delay)
      iterator:close()
      await asyncio.wait {task}
      if task:exception() then equal(task:exception().code, "ECLOSED") end
      equal(iterator(), nil)
    end
  end
end)

test("one task at a time waits in an iterator", async function()
  local dir <close> = full()
  for name, make in pairs(iterators) do
    local iterator <close> = make(dir)
    local both = await asyncio.gather({step(iterator), step(iterator)},
      {return_exceptions = true})
    assert(not asyncio.iserror(both[1]) and both[1])
    local text = both[2].value
    local wanted = "close%.lua:%d+: " .. name:match "%w+" .. ": another task"
    assert(text:find(wanted), text)
    equal(#await iterator, 1499)
  end
end)

test("cancelling an iterator loses nothing", async function()
  local dir <close> = full()
  for _, make in pairs(iterators) do
    local iterator <close> = make(dir)
    local n, done = 0, false
    while not done do
      for delay = 0, 2 do
        local task = asyncio.create_task(step(iterator))
        turns(delay)
        task:cancel()
        await asyncio.wait {task}
        if not task:cancelled() then
          if task:result() then n = n + 1 else done = true end
        end
      end
      if iterator() then n = n + 1 else done = true end
    end
    equal(n, 1500)
  end
end)

-- == Watchers ===========================================================

test("a watcher is closed in each way", async function()
  local before = descriptors()
  local watcher = await fs.watch "/tmp"
  watcher:close()
  watcher:close()
  assert(watcher:closed())
  expect_error("Watcher is closed", watcher.next, watcher)
  do local _ <close> = await fs.watch "/tmp" end
  for _ = 1, 5 do await fs.watch "/tmp" end
  settled(before)
end)

test("closing under a waiting next ends it", async function()
  local dir <close> = await fs.temp_dir()
  local watcher = await fs.watch(dir:path())
  local waiting = asyncio.create_task(watcher:next())
  turns(2)
  watcher:close()
  local e = expect_error("was closed", function() await waiting end)
  equal(e.code, "ECLOSED")
  equal(e.path, dir:path())
  equal(e.message, "next " .. dir:path() .. ": it was closed")
end)

-- == Temporary ones =====================================================

test("a temporary directory is removed in each way", async function()
  local paths = {}
  local function make()
    local dir = await fs.temp_dir()
    await fs.write_file(dir:path "a", "")
    paths[#paths + 1] = dir:path()
    return dir
  end
  do local _ <close> = make() end
  make()
  local dir = make()
  dir:close()
  dir:close()
  assert(dir:closed())
  await dir:close()
  local file = await fs.temp_file()
  paths[#paths + 1] = file:path()
  file = nil
  repeat
    collect()
    local left = 0
    for _, path in ipairs(paths) do
      if await fs.exists(path) then left = left + 1 end
    end
    await asyncio.sleep(0.002)
  until left == 0
end)

-- == The end of the machine =============================================

local neap = os.getenv "NEAP" or "build/neap"

-- Runs a program of its own; gives its output and whether it ended well.
local function run(program)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(program)
  file:close()
  local pipe = assert(io.popen(("%s %s 2>&1"):format(neap, path)))
  local output = pipe:read "a"
  local ok = pipe:close()
  os.remove(path)
  return output, ok
end

local everything = [[
  local fs = require "neap.fs"
  local dir = await fs.temp_dir()
  os.execute("mkfifo " .. dir:path() .. "/fifo")
  local start = asyncio.create_task
  local file = await fs.open(dir:path "a", "w+")
  local pipe = await fs.open(dir:path "fifo")
  local sink = await fs.open(dir:path "fifo", "w")
  local watcher = await fs.watch(dir:path(), {recursive = true})
  local temp = await fs.temp_file()
  start(file:write(("x"):rep(1 << 24)))
  start(file:write("y"))
  start(file:read_all())
  start(file:seek("end"))
  start(pipe:read_line())
  start(sink:write(("x"):rep(1 << 20)))
  start(watcher:next())
  start(fs.read_file "/proc/self/maps")
  start(fs.write_file(dir:path "b", ("x"):rep(1 << 24), {atomic = true}))
  start(fs.open(dir:path "fifo", "w"))
  start(fs.temp_file())
  start(fs.temp_dir())
  start(async(function() return await fs.glob "/usr/**" end)())
  start(async(function() return await fs.walk "/usr" end)())
  start(async(function() for _ in fs.scandir "/usr" do end end)())
  for _ = 1, 100 do start(fs.stat "/") end
  for _ = 1, TURNS do await asyncio.sleep(0) end
  print(dir)
]]

local function check_ended(output, ok, wanted_ok)
  local path = output:match "(/[^\n]*neap%-%w+)\n"
  assert(path, output)
  equal(ok or false, wanted_ok)
  equal(await fs.exists(path), false)
end

test("a machine may end with every operation in flight", async function()
  for turned = 0, 3 do
    local output, ok = run((everything:gsub("TURNS", turned)))
    check_ended(output, ok, true)
    equal(select(2, output:gsub("\n", "")), 1)
  end
end)

test("a machine may end by an error with operations in flight",
    async function()
  local output, ok = run(everything:gsub("TURNS", "1") .. "error 'stop'")
  assert(output:find("stop", 1, true), output)
  check_ended(output, ok, false)
end)
