-- echo.lua [CERT | buffer] - a TCP echo server with one task per connection,
-- with TLS if it is given a certificate, or with a Buffer for each connection
-- instead of a string for each message. Prints its port, serves until it is
-- killed.

local net = require "neap.net"

async function echo(conn)
  while true do -- each message is garbage before the next one is awaited
    local data = await conn:read()
    if not data then return end
    await conn:write(data)
  end
end

async function echo_buffer(conn)
  local buffer = net.buffer(16384)
  while await conn:read_into(buffer) do
    await conn:write(buffer)
  end
end

local buffered = arg[1] == "buffer"
local tls = arg[1] and not buffered and {cert = arg[1]} or nil
local server <close> = await net.listen{host = "127.0.0.1", port = 0,
  tls = tls}
local port = server:sockname().port
io.stdout:write(port, "\n")
io.stdout:flush()

await server:serve(buffered and echo_buffer or echo)
