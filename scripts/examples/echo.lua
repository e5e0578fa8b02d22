--[[
A TCP server that sends every line back, and three clients at once. Each
connection has a task of its own, so the handler is written as if it were the
only one.
]]

local net = require "neap.net"

local async function handle(conn)
  for line in conn:lines() do
    if line == "slow" then await asyncio.sleep(0.1) end
    await conn:write(line:upper(), "\n")
  end
end

local async function client(port, name, messages)
  local conn <close> = await net.connect("127.0.0.1", port)
  for _, message in ipairs(messages) do
    await conn:write(message, "\n")
    print(("%s sent %s, got %s"):format(name, message,
      await conn:read_line()))
  end
end

local server <close> = net.listen{host = "127.0.0.1", port = 0}
local serving = asyncio.create_task(server:serve(handle))
local address = server:sockname()

await asyncio.gather(
  client(address.port, "ann", {"slow", "done"}),
  client(address.port, "bob", {"hello"}))

--> bob sent hello, got HELLO
--> ann sent slow, got SLOW
--> ann sent done, got DONE

serving:cancel()
