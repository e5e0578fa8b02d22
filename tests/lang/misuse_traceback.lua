-- The traceback of a mistake in a call has not what has found it.

local net = require "neap.net"

local async function listen()
  local server = net.listen{prot = 80}
  return server
end

local task = asyncio.create_task(listen())
await asyncio.wait{task}
print((task:exception():gsub("^.*/", "")))
--> misuse_traceback.lua:6: listen: unknown option 'prot'
local frames = task:traceback()
print(frames:find "misuse_traceback.lua:6: in async function 'listen'" ~= nil)
--> true
print(frames:find "_misuse'", frames:find "arguments.lua")  --> nil	nil
