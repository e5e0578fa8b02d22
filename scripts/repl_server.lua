-- repl_server.lua - a prompt into a running program, over a Unix socket.
--
--   neap scripts/repl_server.lua           serves until Ctrl-C, says where
--   neap scripts/repl_server.lua PATH      is the other end
--
-- Whoever can open the socket can do what the program can do, so it is in a
-- directory that only its owner may enter.

local net = require "neap.net"
local repl = require "neap.repl"

-- The program: here it only counts.
requests = 0
local async function work()
  while true do
    await asyncio.sleep(1)
    requests = requests + 1
  end
end

local async function session(stream)
  await repl.run{
    stream = stream, banner = "A line runs in the program; try: requests",
  }
end

local async function serve()
  asyncio.create_task(work(), {name = "work"})
  local pipe <close> = assert(io.popen "mktemp -d")
  local path = pipe:read "l" .. "/neap"
  local server <close> = net.listen{path = path}
  print(path)
  io.stdout:flush()
  await server:serve(session)
end

local async function send(stream)
  local process = require "neap.process"
  for line in process.stdin:lines() do await stream:write(line, "\n") end
  await stream:shutdown()
end

local async function connect(path)
  local stream <close> = await net.connect{path = path}
  asyncio.create_task(send(stream), {name = "send"})
  while true do
    local text = await stream:read()
    if not text then break end
    io.stdout:write(text)
    io.stdout:flush()
  end
end

if arg[1] then await connect(arg[1]) else await serve() end
