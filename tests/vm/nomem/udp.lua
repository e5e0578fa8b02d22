-- Datagrams, Unix sockets, files that are sent, cancelled reads.

local net = require "neap.net"
local a <close> = net.udp{host = "127.0.0.1"}
local b <close> = net.udp{remote_host = "127.0.0.1",
  remote_port = a:sockname().port}
await b:send("ping")
local data, from = await a:recv()
assert(data == "ping" and from.port == b:sockname().port)

local path = FILE .. ".socket"
local server <close> = net.listen{path = path}
local c <close> = await net.connect{path = path}
local d <close> = await server:accept()
local reading = asyncio.create_task(d:read())
await asyncio.sleep(0)
reading:cancel()
await asyncio.wait {reading}
local sent = await c:sendfile(FILE)
await c:shutdown()
local all = await d:read_all()
assert(#all == sent and all:find "sleep")
local ok, e = pcall(function() await d:read_until "x" end)
assert(ok, e)
return "done"
