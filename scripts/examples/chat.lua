--[[
A chat server: what one says, all others hear. Each member has a queue and a
task that writes from it, so that a slow reader holds up nobody else; when
its queue is full, the member misses what is said.
]]

local net = require "neap.net"

local members = {}

local function tell_others(from, text)
  for name, queue in pairs(members) do
    if name ~= from and not queue:full() then queue:put_nowait(text) end
  end
end

local async function write_all(conn, queue)
  for text in queue:items() do await conn:write(text, "\n") end
end

local async function handle(conn)
  local name = await conn:read_line()
  local queue = asyncio.Queue(100)
  members[name] = queue
  tell_others(name, name .. " has come")
  local _ <close> = asyncio.defer(function()
    members[name] = nil
    tell_others(name, name .. " has gone")
  end)
  local tg <close> = asyncio.TaskGroup()
  tg:create_task(write_all(conn, queue))
  queue:put_nowait("welcome, " .. name)
  for line in conn:lines() do tell_others(name, name .. ": " .. line) end
  queue:shutdown()
end

local server <close> = net.listen{host = "127.0.0.1", port = 0}
local serving = asyncio.create_task(server:serve(handle))

-- Joins, and shows the welcome.
local function join(name)
  local conn = await net.connect("127.0.0.1", server:sockname().port)
  await conn:write(name, "\n")
  print(name .. " hears: " .. await conn:read_line())
  return conn
end

local function hear(name, conn)
  print(name .. " hears: " .. await conn:read_line())
end

local ann <close> = join "ann"
local bob <close> = join "bob"
hear("ann", ann)
await ann:write "hello bob\n"
hear("bob", bob)
await bob:write "hello ann\n"
hear("ann", ann)
bob:close()
hear("ann", ann)
serving:cancel()

--> ann hears: welcome, ann
--> bob hears: welcome, bob
--> ann hears: bob has come
--> bob hears: ann: hello bob
--> ann hears: bob: hello ann
--> ann hears: bob has gone
