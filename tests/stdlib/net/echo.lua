-- Whole conversations: every size, many connections, both kinds of socket.

local net = require "neap.net"

local async function echo(conn)
  while true do
    local bytes = await conn:read()
    if not bytes then return end
    await conn:write(bytes)
  end
end

-- Calls f(connect) while an echo server runs.
local function with_server(options, f)
  local server <close> = net.listen(options)
  local serving = asyncio.create_task(server:serve(echo))
  local at = server:sockname()
  local async function connect()
    if at.path then return await net.connect{path = at.path} end
    return await net.connect(at.host, at.port)
  end
  f(connect)
  server:close()
  await serving
end

local function bytes_of(size)
  local part = {}
  for i = 0, 250 do part[#part + 1] = string.char(i) end
  local text = table.concat(part)
  return text:rep(size // #text + 1):sub(1, size)
end

local function exchange(conn, message)
  local sending = asyncio.create_task(conn:write(message))
  local answer = await conn:read_exactly(#message)
  await sending
  assert(answer == message, "the answer differs from the message")
end

-- With the collector at its most aggressive, each of them costs more.
local many = os.getenv "NEAP_TEST_GC" and 50 or 1000

local path = os.tmpname()
os.remove(path)

for _, size in ipairs {1, 64, 16 << 10, 64 << 10, (64 << 10) + 1, 1 << 20} do
  test(("%d bytes come back over TCP"):format(size), async function()
    with_server({}, function(connect)
      local conn <close> = await connect()
      for _ = 1, 3 do exchange(conn, bytes_of(size)) end
    end)
  end)

  test(("%d bytes come back over a Unix socket"):format(size),
      async function()
    with_server({path = path}, function(connect)
      local conn <close> = await connect()
      for _ = 1, 3 do exchange(conn, bytes_of(size)) end
    end)
  end)
end

test("a stream carries more than any buffer holds", async function()
  with_server({}, function(connect)
    local conn <close> = await connect()
    local part = bytes_of(100003)
    local writing = asyncio.create_task((async function()
      for _ = 1, 100 do await conn:write(part) end
      await conn:shutdown()
    end)())
    local all = await conn:read_all()
    await writing
    assert(all == part:rep(100))
  end)
end)

test(many .. " connections at once are all served", async function()
  with_server({}, function(connect)
    local conns = {}
    for i = 1, many do conns[i] = connect() end
    conns = await asyncio.gather(conns)
    local rounds = {}
    for i, conn in ipairs(conns) do
      rounds[i] = (async function()
        local _ <close> = conn
        for round = 1, 3 do
          exchange(conn, ("%d of connection %d"):format(round, i))
        end
      end)()
    end
    await asyncio.gather(rounds)
  end)
end)

test("many connections and random cancels leave nothing behind",
    async function()
  with_server({}, function(connect)
    local async function talk(i)
      local conn <close> = await connect()
      for _ = 1, 10 do exchange(conn, bytes_of(i * 7 % 5000 + 1)) end
    end
    local tasks = {}
    for i = 1, many // 10 do tasks[i] = asyncio.create_task(talk(i)) end
    while true do
      local pending = {}
      for _, task in ipairs(tasks) do
        if not task:done() then pending[#pending + 1] = task end
      end
      if #pending == 0 then break end
      pending[math.random(#pending)]:cancel()
      await asyncio.sleep(0)
    end
    for _, task in ipairs(tasks) do
      if not task:cancelled() then task:result() end
    end
  end)
end)
