-- TLS on both sides, and a name that two families are asked for.

if not CERT then return "done" end
local net = require "neap.net"
local server <close> = net.listen{host = "127.0.0.1", tls = {cert = CERT}}
local port = server:sockname().port

local async function serve()
  local conn <close> = await server:accept()
  await conn:write((await conn:read_line()):upper(), "\n")
  assert(await conn:read() == nil)
end

local async function talk()
  local conn <close> = await net.connect("localhost", port,
    {tls = {ca = CERT, alpn = {"x"}}, family = 4})
  await conn:write("hello", "\n")
  local line = await conn:read_line()
  if line ~= "HELLO" then error("not enough memory? " .. tostring(line), 0) end
  assert(conn:tls_info().version)
  await conn:shutdown()
end

await asyncio.gather(serve(), talk())
return "done"
