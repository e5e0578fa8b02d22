-- Sockets.

local net = require 'neap.net'
local server <close> = net.listen{}
local serving = asyncio.create_task(server:serve(async function(conn)
  while true do
    local line = await conn:read_line()
    if not line then return end
    await conn:write(line:upper() .. '\n')
  end
end))
local at = server:sockname()
local async function talk()
  local conn <close> = await net.connect(at.host, at.port)
  for i = 1, 3 do
    await conn:write(('line %d\n'):format(i))
    local line = await conn:read_line()
    if line ~= 'LINE ' .. i then
      error('not enough memory? ' .. tostring(line), 0) end
  end
  server:close()
end
await asyncio.gather(serving, talk())
local a, b = net.pair()
local _, got = await asyncio.gather(a:write(('x'):rep(300000)),
  b:read_exactly(300000))
assert(#got == 300000)
local full, buffer = net.buffer(300000):set(('y'):rep(300000)), net.buffer(7000)
local async function copy()
  local sum = 0
  while sum < 300001 do sum = sum + await b:read_into(buffer) end
  return sum
end
_, got = await asyncio.gather(a:write(full, '.'), copy())
assert(got == 300001)
a:close() b:close()
return 'done'
