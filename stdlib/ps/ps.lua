-- ps.lua - `neap ps PID`: what the tasks of a running neap are doing.
--
-- A file that only its owner can write is put where the other process looks,
-- then SIGUSR1 asks it for the tree of its tasks, which it writes there.

local fs = require "neap.fs"
local process = require "neap.process"

local WAIT <const> = 3 -- seconds for the answer

-- What a file of /proc says of it.
local function read(pid, name)
  local ok, text = pcall(function()
    return await fs.read_file(("/proc/%s/%s"):format(pid, name))
  end)
  if not ok then error(("there is no process %s"):format(pid), 0) end
  return text
end

local function check(pid)
  if not pid:match "^[1-9]%d*$" then
    error(("neap ps needs the number of a process, not '%s'"):format(pid), 0)
  end
  local name = read(pid, "comm"):gsub("\n", "")
  if name ~= "neap" then -- the signal would end another program
    error(("process %s is no neap but %s"):format(pid, name), 0)
  end
  local state = read(pid, "stat"):match ".*%) (%a)"
  if state == "Z" then error(("process %s has ended"):format(pid), 0) end
  if state == "T" then
    error(("process %s is stopped: kill -CONT lets it go on"):format(pid), 0)
  end
  local owner = await fs.stat("/proc/" .. pid)
  if owner.uid ~= (await fs.stat("/proc/self")).uid then
    error(("process %s is another user's, who alone may ask it"):format(pid),
          0)
  end
end

--- async neap.ps(pid)
--
-- Asks the process, whose number is given as a string, for the tree of its
-- tasks, and prints it: see [debugging](../debugging.md) for how it reads. An
-- error if there is no such process, if it is no neap, is stopped or another
-- user's (it is not touched then), or if it has not answered within 3 s.
return function(pid)
  check(pid)
  local path = "/tmp/neap-ps." .. pid
  local file = await fs.open(path, "wx", {mode = tonumber("600", 8)})
  file:close()
  local _ <close> = asyncio.defer(function() await fs.remove(path) end)
  process.kill(math.tointeger(pid), "SIGUSR1")
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
