-- Files, on libuv's threads.

local fs = require 'neap.fs'
local path = FILE .. '.txt'
await fs.write_file(path, 'one\ntwo\n')
local file <close> = await fs.open(path, 'a+')
await file:write('three\n')
await file:seek('set', 0)
local n = 0
for line in file:lines() do n = n + 1 end
for found in fs.glob(FILE .. '.*') do
  n = n + (await fs.stat(found)).size end
local a, b = await asyncio.gather(fs.read_file(path),
  fs.read_file(path))
assert(a == b)
local t = asyncio.create_task(fs.read_file(path))
await asyncio.sleep(0)
t:cancel()
local ok, e = asyncio.catch(await, t)
if not ok and not asyncio.iserror(e, asyncio.CancelledError) then
  error(e, 0) end
await fs.remove(path)
return n == 3 + 14 and 'done'
