-- Thousands of each at once: connections, time limits on reads, reads of files;
-- two hundred programs. And a thousand connections whose tasks are cancelled
-- wherever they are.
--
--   MANY   how many (1000; `make check` takes 10000)

local net = require "neap.net"
local fs = require "neap.fs"
local process = require "neap.process"

local stress = (os.getenv "NEAP_TEST_GC" or "0"):find "[12]"
local many = tonumber(os.getenv "MANY") or stress and 200 or 1000

math.randomseed(20240229)
local random = math.random

-- Two descriptors each, in one process.
local function room()
  local limit = (await process.run {"sh", "-c", "ulimit -n"}).stdout
  return math.min(many, ((tonumber(limit) or 1 << 20) - 100) // 2)
end

local function with_server(handler, f)
  local server <close> = net.listen{backlog = 4096}
  local serving = asyncio.create_task(server:serve(handler))
  f(server:sockname())
  server:close()
  await serving
end

local async function echo(conn)
  for part in function() return await conn:read() end do
    await conn:write(part)
  end
end

-- Errors of connections that were given up are the test's own doing.
local async function patient_echo(conn)
  pcall(function() await echo(conn) end)
end

local function exchange(conn, i)
  local message = ("message of %d\n"):format(i)
  await conn:write(message)
  assert(await conn:read_line() == message:sub(1, -2))
end

test(many .. " connections at once", async function()
  local n = room()
  if n < many then skip("all connections", "descriptors for " .. n) end
  with_server(echo, function(at)
    local open, all = 0, asyncio.Event()
    local async function talk(i)
      local conn <close> = await net.connect(at.host, at.port)
      exchange(conn, i)
      open = open + 1
      if open == n then all:set() end
      await all:wait()
      exchange(conn, i)
    end
    local talks = {}
    for i = 1, n do talks[i] = talk(i) end
    await asyncio.gather(talks)
    equal(open, n)
  end)
end)

test(many .. " reads with time limits", async function()
  local n = room()
  local ends, reads, late = {}, {}, 0
  for i = 1, n do
    local a, b = net.pair()
    ends[i] = b
    reads[i] = (async function()
      local _ <close> = a
      local ok, e = pcall(function()
        local _ <close> = asyncio.timeout(i % 2 == 0 and 0.001 or 1000)
        return await a:read()
      end)
      if i % 2 == 1 then
        assert(ok and e == "x")
      elseif asyncio.iserror(e, asyncio.TimeoutError) then
        late = late + 1
      end
      b:close()
    end)()
  end
  local reading = asyncio.create_task((async function()
    await asyncio.gather(reads)
  end)())
  while late < n // 2 do await asyncio.sleep(0.001) end
  for i = 1, n, 2 do await ends[i]:write "x" end
  await reading
end)

test(many .. " reads of files at once", async function()
  local dir <close> = await fs.temp_dir()
  local paths, writes, reads = {}, {}, {}
  for i = 1, many do
    paths[i] = dir:path() .. "/" .. i
    writes[i] = fs.write_file(paths[i], "file " .. i)
  end
  await asyncio.gather(writes)
  for i = 1, many do reads[i] = fs.read_file(paths[i]) end
  for i, text in ipairs(await asyncio.gather(reads)) do
    assert(text == "file " .. i)
  end
end)

local programs = math.min(200, many)

test(programs .. " programs at once", async function()
  local runs = {}
  for i = 1, programs do
    runs[i] = process.run({"cat"}, {input = "program " .. i})
  end
  for i, result in ipairs(await asyncio.gather(runs)) do
    equal(result, {status = 0, stdout = "program " .. i, stderr = ""})
  end
end)

-- == Cancelled wherever they are =========================================

local connections = math.min(1000, many)

-- What a task does until it is cancelled, or has had enough.
local function talk_at_random(at, i)
  local conn <close> = await net.connect(at.host, at.port)
  for _ = 1, random(5) do
    local size = 4 ^ random(0, 8) // 1 | 0
    local message = ("x"):rep(size)
    local writing = asyncio.create_task(conn:write(message))
    local _ <close> = asyncio.defer(function()
      if writing:done() then return end
      writing:cancel()
      await asyncio.wait {writing}
    end)
    assert(await conn:read_exactly(size) == message)
    await writing
    if random(4) == 1 then await asyncio.sleep(random() / 1000) end
  end
end

test(connections .. " connections cancelled at random", async function()
  with_server(patient_echo, function(at)
    local tasks = {}
    for i = 1, connections do
      tasks[i] = asyncio.create_task(
        async(function() return talk_at_random(at, i) end)())
    end
    local live = connections
    while live > 0 do
      for _ = 1, 1 + live // 20 do tasks[random(connections)]:cancel() end
      for _ = 1, random(3) do await asyncio.sleep(0) end
      live = 0
      for _, task in ipairs(tasks) do
        if not task:done() then live = live + 1 end
      end
    end
    local finished = 0
    for _, task in ipairs(tasks) do
      if not task:cancelled() then
        equal(task:exception(), nil)
        finished = finished + 1
      end
    end
    assert(finished < connections)
  end)
end)

test("a peer that resets in the middle of everything", async function()
  with_server(patient_echo, function(at)
    for _ = 1, 50 do
      local conn = await net.connect(at.host, at.port)
      local writing = asyncio.create_task(conn:write(("x"):rep(1 << 20)))
      await conn:read(random(100000))
      conn:close() -- with bytes unread: a reset
      await asyncio.wait {writing}
      if not writing:cancelled() then writing:exception() end
    end
  end)
end)
