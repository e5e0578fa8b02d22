--[[
A protocol by hand: ask a server for the head of a page and print its lines.
The server here is ours and answers every request alike.
]]

local net = require "neap.net"

local async function answer(conn)
  local request = await conn:read_until "\r\n\r\n"
  local path = request:match "^HEAD (%S+)"
  await conn:write("HTTP/1.0 200 OK\r\n",
    "Server: neap\r\n", "X-Path: ", path, "\r\n\r\n")
end

local async function head(host, port, path)
  local conn <close> = await net.connect(host, port)
  await conn:write("HEAD ", path, " HTTP/1.0\r\nHost: ", host, "\r\n\r\n")
  local lines = {}
  for line in conn:lines() do
    line = line:gsub("\r$", "")
    if line == "" then break end
    lines[#lines + 1] = line
  end
  return lines
end

local server <close> = net.listen{host = "127.0.0.1", port = 0}
local serving = asyncio.create_task(server:serve(answer))

local _ <close> = asyncio.timeout(5)
for _, line in ipairs(await head("127.0.0.1", server:sockname().port, "/a")) do
  print(line)
end

--> HTTP/1.0 200 OK
--> Server: neap
--> X-Path: /a

serving:cancel()
