--[[
Which ports of a host are open? A hundred are tried at once.

  neap port_scanner.lua 127.0.0.1 1 1024

Without arguments it opens two ports of its own, and looks for these and for
one that it has closed again.
]]

local net = require "neap.net"

local async function is_open(host, port)
  local ok, conn = pcall(function()
    return await net.connect(host, port, {timeout = 1})
  end)
  if ok then conn:close() end
  return ok
end

-- Gives the open ones of a list of ports, in its order.
local async function scan(host, ports)
  local open, found = {}, {}
  do
    local group <close> = asyncio.TaskGroup({limit = 100})
    for i, port in ipairs(ports) do
      group:create_task((async function()
        open[i] = await is_open(host, port)
      end)())
    end
  end
  for i, port in ipairs(ports) do
    if open[i] then found[#found + 1] = port end
  end
  return found
end

if arg and arg[1] then
  local ports = {}
  for port = tonumber(arg[2]), tonumber(arg[3]) do ports[#ports + 1] = port end
  for _, port in ipairs(await scan(arg[1], ports)) do print(port) end
  return
end

local first <close>, second = net.listen{}, net.listen{}
local _ <close> = second
local closed = net.listen{}
local ports = {}
for i, server in ipairs {first, closed, second} do
  ports[i] = server:sockname().port
end
closed:close()

local found = await scan("127.0.0.1", ports)
print(#found, found[1] == ports[1], found[2] == ports[3])
--> 2	true	true
