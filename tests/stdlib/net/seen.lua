-- What people are told of streams and tasks: who the peer is.

local net = require "neap.net"

local function tcp_pair()
  local server <close> = net.listen{}
  local at = server:sockname()
  local a, b = await asyncio.gather(net.connect(at.host, at.port),
    server:accept())
  return a, b
end

-- Lets a task come to what it waits for, and gives what that is.
local function waits_for(coroutine)
  local task = asyncio.create_task(coroutine)
  local _ <close> = asyncio.defer(function()
    task:cancel()
    await asyncio.wait {task}
  end)
  for _ = 1, 3 do await asyncio.sleep(0) end
  for _, found in ipairs(asyncio._tasks()) do
    if found.name == task:get_name() then return found.waits end
  end
end

local function text(at) return ("%s:%d"):format(at.host, at.port) end

test("the tree of tasks tells whom a task waits for", async function()
  local a <close>, b = tcp_pair()
  local _ <close> = b
  local peer = text(a:peername())
  equal(waits_for(a:read()), "read " .. peer)
  equal(waits_for(a:write(("x"):rep(1 << 24))), "write " .. peer)
  local server <close> = net.listen{}
  equal(waits_for(server:accept()), "accept " .. text(server:sockname()))
  local silent <close> = net.udp{host = "127.0.0.1"}
  local servers = {text(silent:sockname())}
  equal(waits_for(net.resolve("name.example", {servers = servers})),
    "resolve name.example")
end)

test("a Unix stream knows its peer's path, a pair has none", async function()
  local path = os.tmpname()
  os.remove(path)
  local server <close> = net.listen{path = path}
  local a <close> = await net.connect{path = path}
  local b <close> = await server:accept()
  equal(waits_for(a:read()), "read " .. path)
  equal(waits_for(b:read()), "read")
end)

test("errors name the peer", async function()
  local a <close>, b = tcp_pair()
  local peer = text(a:peername())
  local reading = asyncio.create_task(a:read())
  await asyncio.sleep(0)
  a:close()
  b:close()
  local e = expect_error(asyncio.OSError, function() await reading end)
  equal(e.message, "read " .. peer .. ": it was closed")
end)

test("a task of one call has the line that made it", async function()
  local line = debug.getinfo(1, "l").currentline + 1
  local task = asyncio.create_task(net.connect("127.0.0.1", 70000))
  local e = expect_error("port must be", function() await task end)
  assert(e:find("seen.lua:" .. line .. ": connect: port", 1, true), e)
end)
