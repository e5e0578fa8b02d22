--[[
What `tail -f` does: shows the lines of a file, and those that are added while
we look.

  neap tail_f.lua /var/log/syslog

It begins anew when the file is cut, and goes on with a new file of this name,
as programs make one that change their log. Without arguments it follows a
file of its own until that says so.
]]

local fs = require "neap.fs"

-- The file of this name that is there, or will be.
local async function open_when_there(path, watcher)
  while true do
    local ok, file = pcall(function() return await fs.open(path) end)
    if ok then return file end
    if file.code ~= "ENOENT" then error(file) end
    await watcher:next()
  end
end

-- Whether another file has this name now.
local async function is_replaced(path, file)
  local ok, now = pcall(function() return await fs.stat(path) end)
  return ok and now.ino ~= (await file:stat()).ino
end

-- Calls f with the lines that are whole, until f returns true; gives that, and
-- the line that its program is still writing.
local function take(file, rest, f)
  for piece in function() return await file:read "L" end do
    rest = rest .. piece
    if rest:sub(-1) == "\n" then
      if f(rest:sub(1, -2)) then return true end
      rest = ""
    end
  end
  return false, rest
end

-- Calls f with each line; ends when f returns true.
local async function follow(path, f)
  local dir = path:match "^(.*)/[^/]*$" or "."
  local watcher <close> = await fs.watch(dir ~= "" and dir or "/")
  while true do
    local file <close> = await open_when_there(path, watcher)
    local done, rest = false, ""
    repeat
      done, rest = take(file, rest, f)
      if done then return end
      await watcher:next()
      if (await file:stat()).size < await file:seek() then
        await file:seek("set", 0)
        rest = ""
      end
    until await is_replaced(path, file)
    done, rest = take(file, rest, f)
    if done or rest ~= "" and f(rest) then return end
  end
end

if arg and arg[1] then
  await follow(arg[1], print)
  return
end

local dir <close> = await fs.temp_dir()
local log = dir:path "log"
local seen = asyncio.Queue()
local following = asyncio.create_task(follow(log, function(line)
  print(line)
  seen:put_nowait(line)
  return line == "the end"
end))

await fs.write_file(log, "first\n")
await seen:get()
await fs.append_file(log, "second\n")
await seen:get()
await fs.rename(log, dir:path "log.1")
await fs.write_file(log, "after the change\n")
await seen:get()
await fs.append_file(log, "the end\n")
await following
--> first
--> second
--> after the change
--> the end
