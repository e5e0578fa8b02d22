-- files.lua DIR - reads ten thousand small files at once. Prints the us that a
-- file takes.

local fs = require "neap.fs"

local FILES <const> = 10000
local loop = asyncio.get_running_loop()

local start = loop:time()
local reads = {}
for i = 1, FILES do reads[i] = fs.read_file(("%s/%d.txt"):format(arg[1], i)) end
local texts = await asyncio.gather(reads)
local seconds = loop:time() - start
for i = 1, FILES do assert(#texts[i] == 1000) end
print("files", seconds * 1e6 / FILES)
