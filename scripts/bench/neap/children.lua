-- children.lua - runs `true` a thousand times, twenty at once, and captures
-- its output. Prints the us that one takes.

local process = require "neap.process"

local RUNS <const>, AT_ONCE <const> = 1000, 20
local loop = asyncio.get_running_loop()

local start = loop:time()
do
  local group <close> = asyncio.TaskGroup({limit = AT_ONCE})
  for _ = 1, RUNS do
    group:create_task(process.run({"true"}, {check = true}))
  end
end
print("children", (loop:time() - start) * 1e6 / RUNS)
