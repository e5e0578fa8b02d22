-- Names: /etc/hosts, a name server that fails, the race of two families.

local net = require "neap.net"
local server <close> = net.listen{}
local a <close> = await net.connect("localhost", server:sockname().port)
local b <close> = await server:accept()
await a:write("ping")
assert(await b:read_exactly(4) == "ping")

local udp <close> = net.udp{host = "127.0.0.1"}
local at = udp:sockname()
local async function answer()
  local message, from = await udp:recv()
  await udp:send(message:sub(1, 2) .. "\x81\x83" .. message:sub(5),
    from.host, from.port)
end
local ok, e = pcall(function()
  await asyncio.gather(answer(), net.resolve("none.example", {type = "TXT",
    timeout = 5, servers = {("%s:%d"):format(at.host, at.port)}}))
end)
assert(not ok)
if not asyncio.iserror(e, asyncio.DNSError) then error(e, 0) end
return "done"
