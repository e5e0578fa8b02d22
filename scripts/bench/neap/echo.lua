-- echo.lua [CERT] - a TCP echo server with one task per connection, with TLS
-- if it is given a certificate. Prints its port, serves until it is killed.

local net = require "neap.net"

async function echo(conn)
  local data = await conn:read()
  while data do
    await conn:write(data)
    data = await conn:read()
  end
end

local tls = arg[1] and {cert = arg[1]} or nil
local server <close> = await net.listen{host = "127.0.0.1", port = 0,
  tls = tls}
local port = server:sockname().port
io.stdout:write(port, "\n")
io.stdout:flush()

await server:serve(echo)
