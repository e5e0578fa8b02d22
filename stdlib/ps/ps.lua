-- ps.lua - `neap ps PID`: what the tasks of a running neap are doing.
--
-- A file that only its owner can write is put where the other process looks,
-- then SIGUSR1 asks it for the tree of its tasks, which it writes there.

local fs = require "neap.fs"
local process = require "neap.process"

local WAIT <const> = 3 -- seconds for the answer

local function check(pid)
  if not pid:match "^[1-9]%d*$" then
    error(("neap ps needs the number of a process, not '%s'"):format(pid), 0)
  end
  local ok, name = pcall(fs.read_file, ("/proc/%s/comm"):format(pid))
  if ok then ok, name = pcall(await, name) end
  if not ok then error(("there is no process %s"):format(pid), 0) end
  if name ~= "neap\n" then -- the signal would end another program
    error(("process %s is no neap but %s"):format(pid, name:gsub("\n", "")),
          0)
  end
end

--- async neap.ps(pid)
--
-- Asks the process, whose number is given as a string, for the tree of its
-- tasks, and prints it: see [debugging](../debugging.md) for how it reads. An
-- error if there is no such process, if it is no neap (it is not touched
-- then), if it belongs to somebody else, or if it has not answered within 3 s.
return function(pid)
  check(pid)
  local path = "/tmp/neap-ps." .. pid
  local file = await fs.open(path, "wx", {mode = tonumber("600", 8)})
  file:close()
  local _ <close> = asyncio.defer(function() await fs.remove(path) end)
  -- The kill of the shell: a small system may have no other.
  await process.run({"sh", "-c", "kill -USR1 " .. pid}, {check = true})
  local limit = asyncio.time() + WAIT
  repeat
    await asyncio.sleep(0.02)
    local text = await fs.read_file(path)
    if text:sub(-1) == "\n" then
      io.write(text)
      return
    end
  until asyncio.time() > limit
  error(("process %s has not answered in %d s: it runs a C function, and will "
    .. "tell on its stderr when that returns"):format(pid, WAIT), 0)
end
