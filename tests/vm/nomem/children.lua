-- Children with terminals and pipes, signals, a time limit.

local process = require "neap.process"
local signals <close> = process.signals("SIGUSR1", "SIGUSR2")
process.kill(process.pid, "SIGUSR1")
assert(await signals:next() == "SIGUSR1")
signals:close()

do
  local child <close> = process.spawn({"cat"}, {pty = true, rows = 5,
    cols = 10})
  await child.stdin:write("line\n")
  await child.stdout:read_until "line" -- a terminal echoes by pieces
  child:kill "SIGKILL"
  await child:wait()
end

local ok, e = pcall(function()
  await process.run({"cat"}, {stdin = "pipe", timeout = 0.01, grace = 0})
end)
assert(not ok)
local ok, e = pcall(function()
  await process.run({"sh", "-c", "echo no >&2; exit 3"}, {check = true})
end)
if not asyncio.iserror(e, process.ProcessError) then error(e, 0) end
return e.status == 3 and "done"
