-- Directories: made, walked, copied, watched and removed.

local fs = require "neap.fs"
local dir <close> = await fs.temp_dir{prefix = "neap-nomem-"}
local watcher <close> = await fs.watch(dir:path())
await fs.mkdir(dir:path "a/b", {parents = true})
assert((await watcher:next()).type == "created")
await fs.write_file(dir:path "a/b/c", "text", {atomic = true, sync = true})
await fs.copy(dir:path "a", dir:path "d", {recursive = true})
await fs.symlink("a", dir:path "link")
local n = 0
for entry in fs.walk(dir:path()) do n = n + entry.depth end
for path in fs.glob("**/c", {root = dir:path()}) do n = n + #path end
assert(await fs.readlink(dir:path "link") == "a")
assert(#await fs.realpath(dir:path "link") > 0)
await fs.rename(dir:path "d/b/c", dir:path "e")
await fs.remove(dir:path "d", {recursive = true})
local file <close> = await fs.temp_file{dir = dir:path()}
await file:write("x")
await file:close()
await dir:close()
if n ~= 22 then error("not enough memory? " .. n, 0) end
return "done"
