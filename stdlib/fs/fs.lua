--[[
fs.lua - require "neap.fs": files and directories.

One operation of the file threads each is in C (neap.fs.core); here is what is
made of them: options, iteration, composition.
]]

local core = require "neap.fs.core"
local arguments = require "neap.arguments"
local check = require "neap.fs.check"
local walk = require "neap.fs.walk"
local asyncio = require "neap.asyncio"

local misuse, typename = arguments.misuse, arguments.typename

local File, TempDir = core.File, core.TempDir

local fs = {
  stat = core.stat,
  lstat = core.lstat,
  exists = core.exists,
  rename = core.rename,
  link = core.link,
  symlink = core.symlink,
  readlink = core.readlink,
  realpath = core.realpath,
  utime = core.utime,
  threads = core.threads,
  scandir = walk.scandir,
  walk = walk.walk,
  glob = require "neap.fs.glob",
  watch = require "neap.fs.watch",
}

local FILE_MODE, DIRECTORY_MODE = 438, 511 -- 666 and 777, octal

-- == Closing ============================================================

-- What close gives: it can be awaited, and need not be.
local Closing = {__name = "Closing"}

async function Closing:__await() return await self.what:_gone() end

for _, class in ipairs {File, TempDir} do
  local close = class.close
  function class:close()
    close(self)
    return setmetatable({what = self}, Closing)
  end
end

-- == Files ==============================================================

local directions = {
  r = core.O_RDONLY,
  w = core.O_WRONLY | core.O_CREAT | core.O_TRUNC,
  a = core.O_WRONLY | core.O_CREAT | core.O_APPEND,
}

local function open_flags(mode)
  if type(mode) ~= "string" then
    misuse("open", "mode must be a string, not " .. typename(mode))
  end
  local letter, rest = mode:match "^([rwa])([+bx]*)$"
  if not letter or rest:find "(.).*%1" or mode:find "^r.*x" then
    misuse("open", ("invalid mode %q"):format(mode))
  end
  local flags = directions[letter]
  if rest:find("+", 1, true) then
    flags = flags & ~core.O_WRONLY | core.O_RDWR
  end
  if rest:find "x" then flags = flags | core.O_EXCL end
  return flags
end

local function open_once(path, flags, mode)
  return await core.open(path, flags, mode)
end

-- A FIFO cannot be opened for writing before somebody reads it.
local function open_waiting(path, flags, mode)
  while true do
    local ok, result = pcall(open_once, path, flags, mode)
    if ok then return result end
    if not asyncio.iserror(result) or result.code ~= "ENXIO" or
        (await core.stat(path)).type ~= "fifo" then
      error(result, 0)
    end
    await asyncio.sleep(0.01)
  end
end

--- async fs.open(path [, mode [, options]]) -> File
--
-- `mode` is as in C: `"r"` (the default), `"w"`, `"a"`, with `+` for both
-- directions, and `x` (`"wx"`) if the file must not exist yet; a `b` is
-- allowed and means nothing. The only option is `mode`, the permissions of a
-- new file (`"666"`).
--
-- FIFOs and devices can be opened too. Reading and writing them waits in the
-- loop and not on a file thread. Opening a FIFO for writing waits for a
-- reader.
--
-- One task at a time reads a file, and another one that tries gets an error.
-- Writes are served in the order of their calls, each in one piece; so many
-- tasks can write to one log. What is read ahead does not move the place where
-- is written: reading and writing share one position, as if nothing were read
-- ahead. **A read that is cancelled loses nothing.**
async function fs.open(path, mode, options)
  local flags = open_flags(mode == nil and "r" or mode)
  options = arguments.options("open", options, {mode = check.bits})
  mode = check.mode("open", options.mode, FILE_MODE)
  if flags & core.O_CREAT == 0 or flags & core.O_EXCL ~= 0 then
    return await core.open(path, flags, mode)
  end
  return open_waiting(path, flags, mode)
end

--- file:lines([max]) -> iterator
--
-- `for line in file:lines() do`: read_line until the end. Files of any size
-- can be read in this way; about 64 KiB of it are in memory at once.
function File:lines(max)
  if max ~= nil and (math.type(max) ~= "integer" or max < 1) then
    misuse("lines", "max must be an integer of at least 1")
  end
  local read_line = self.read_line
  return function() return await read_line(self, max) end
end

-- == Whole files ========================================================

--- async fs.read_file(path) -> string
async function fs.read_file(...)
  local data = await core.read_file(...)
  if type(data) == "string" then return data end
  local file <close> = data
  local text = await file:read_all()
  await file:close() -- else who writes next to a FIFO might find us there
  return text
end

local ATOMIC, SYNC, APPEND = 1, 2, 4

local function write_whole(name, path, data, options, flags)
  if options.sync then flags = flags | SYNC end
  if options.atomic then flags = flags | ATOMIC | SYNC end
  local mode = check.mode(name, options.mode, FILE_MODE)
  local file = await core.write_file(name, path, data, flags, mode)
  if file == true then return end
  local fifo <close> = file or open_waiting(path, core.O_WRONLY, mode)
  await fifo:write(data)
  await fifo:close()
end

local append_options = {sync = arguments.boolean, mode = check.bits}
local write_options = {
  atomic = arguments.boolean, sync = arguments.boolean, mode = check.bits,
}

--- async fs.write_file(path, data [, options])
--
-- Replaces what the file holds, or makes it. `data` is a string or a number.
-- Options:
--
-- - `atomic`: whoever reads the file, at any time and after a crash too, sees
--   all of the old or all of the new (false). The data go to a temporary file
--   beside it, are written to the disk, and the file is renamed. The file's
--   mode stays, its owner as far as the system allows that, and a symbolic
--   link goes on pointing to it. What is no file is refused (`EINVAL`);
-- - `sync`: returns only when the data are on the disk (false);
-- - `mode`: of a new file (`"666"`).
async function fs.write_file(path, data, options)
  options = arguments.options("write_file", options, write_options)
  write_whole("write_file", path, data, options, 0)
end

--- async fs.append_file(path, data [, options])
--
-- Adds `data` at the end, in one write. Options: `sync` and `mode`, as above.
--
-- ```lua
-- local fs = require "neap.fs"
-- local dir <close> = await fs.temp_dir()
-- local path = dir:path "state.json"
-- await fs.write_file(path, "{}", {atomic = true, mode = "600"})
-- await fs.append_file(path, "\n")
-- print(#await fs.read_file(path), (await fs.stat(path)).mode == 384)
-- --> 3 true
-- local async function missing() await fs.read_file(dir:path "none") end
-- local ok, e = pcall(await, missing())
-- print(e.code, e.path == dir:path "none", e.message:match ": (.*)")
-- --> ENOENT true no such file or directory
-- ```
async function fs.append_file(path, data, options)
  options = arguments.options("append_file", options, append_options)
  write_whole("append_file", path, data, options, APPEND)
end

-- == Names ==============================================================

local mkdir_options = {parents = arguments.boolean, mode = check.bits}

--- async fs.mkdir(path [, options])
--
-- Options: `parents`, to make the missing directories above it and to be
-- content if it is there (false); `mode` (`"777"`).
async function fs.mkdir(path, options)
  options = arguments.options("mkdir", options, mkdir_options)
  local mode = check.mode("mkdir", options.mode, DIRECTORY_MODE)
  return await core.mkdir(path, options.parents, mode)
end

local remove_options = {
  recursive = arguments.boolean, missing_ok = arguments.boolean,
}
local RECURSIVE, MISSING_OK = 1, 2

--- async fs.remove(path [, options])
--
-- Removes a file, a link or an empty directory. Options: `recursive`, for a
-- directory with all that is in it (false; links are removed, not followed);
-- `missing_ok`, to be content if it is not there (false).
async function fs.remove(path, options)
  options = arguments.options("remove", options, remove_options)
  return await core.remove(path, (options.recursive and RECURSIVE or 0) |
    (options.missing_ok and MISSING_OK or 0))
end

--- async fs.chmod(path, mode)
async function fs.chmod(path, mode, ...)
  arguments.check("chmod", "mode", mode, check.bits)
  return await core.chmod(path, check.mode("chmod", mode), ...)
end

-- == Copying ============================================================

local function copy_link(path, dest, overwrite)
  local target = await core.readlink(path)
  if overwrite then
    local ok, st = pcall(function() return await core.lstat(dest) end)
    if ok and st.type ~= "directory" then await core.remove(dest, 0) end
  end
  await core.symlink(target, dest)
end

local function copy_directory(path, dest)
  local st = await core.stat(path)
  await core.mkdir(dest, true, DIRECTORY_MODE)
  return st.mode
end

-- Modes of directories are set when they are full: they may forbid writing.
local function copy_tree(path, dest, overwrite)
  local modes = {{dest, copy_directory(path, dest)}}
  for entry in walk.walk(path) do
    local to = dest .. entry.path:sub(#path + 1)
    if entry.type == "directory" then
      modes[#modes + 1] = {to, copy_directory(entry.path, to)}
    elseif entry.type == "link" then
      copy_link(entry.path, to, overwrite)
    else
      await core.copy(entry.path, to, overwrite)
    end
  end
  for i = #modes, 1, -1 do await core.chmod(modes[i][1], modes[i][2]) end
end

local copy_options = {
  overwrite = arguments.boolean, recursive = arguments.boolean,
}

-- Without this, copying a directory into itself would not end.
local function check_outside(path, dest)
  local from = await core.realpath(path)
  local above = dest:match "^(.*[^/])/+[^/]+/*$"
  if not above then above = dest:find "^/" and "/" or "." end
  local ok, to = pcall(function() return await core.realpath(dest) end)
  if not ok then
    ok, to = pcall(function() return await core.realpath(above) end)
  end
  if ok and (to .. "/"):sub(1, #from + 1) == from .. "/" then
    misuse("copy", "dest is in path")
  end
end

--- async fs.copy(path, dest [, options])
--
-- Copies a file, with its mode and its holes. What is no file, on either side,
-- is refused (`EINVAL`, `EISDIR`). A copy that fails, or whose task is
-- cancelled, is removed. Options: `overwrite`, false raises `EEXIST` if `dest`
-- is there (true); `recursive`, for a directory with all that is in it (false;
-- links are copied as links, and files are added to a directory that is
-- there).
async function fs.copy(path, dest, options)
  options = arguments.options("copy", options, copy_options)
  local overwrite = options.overwrite ~= false
  path = check.path(path, "copy", "path")
  dest = check.path(dest, "copy", "dest")
  if options.recursive and (await core.stat(path)).type == "directory" then
    check_outside(path, dest)
    return copy_tree(path:match "^(.-)/*$", dest:match "^(.-)/*$", overwrite)
  end
  return await core.copy(path, dest, overwrite)
end

-- == Temporary ones =====================================================

local temp_options = {
  dir = check.directory, prefix = check.part_of_name,
  suffix = check.part_of_name, keep = arguments.boolean,
}

-- What comes before and after the random part of the name.
local function temp_name(name, options)
  options = arguments.options(name, options, temp_options)
  local dir = tostring(options.dir or os.getenv "TMPDIR" or "")
  if dir == "" then dir = "/tmp" end
  return check.join(dir, options.prefix or "neap-"), options.suffix or "",
    options.keep
end

--- async fs.temp_file([options]) -> File
--
-- A new file for reading and writing that nobody else can open. It is removed
-- when it is closed. Options: `dir` (`TMPDIR`, or `/tmp`), `prefix`
-- (`"neap-"`), `suffix` (`""`), `keep`, to leave it there (false).
async function fs.temp_file(options)
  return await core.temp_file(temp_name("temp_file", options))
end

-- The path, or that of `name` in it.
function TempDir:path(name)
  if name == nil then return self:_path() end
  check.path(name, "path", "name")
  return check.join(self:_path(), name)
end

--- async fs.temp_dir([options]) -> TempDir
--
-- A new directory, which is removed with all that is in it when the object is
-- closed or collected. Options as for temp_file. `dir:path()` and
-- `tostring(dir)` are its path, and `dir:path("name")` or `dir .. "/name"` is
-- a path in it; functions of this module that take a path take `dir`, too.
-- `await dir:close()` waits until it is removed and raises if that fails.
async function fs.temp_dir(options)
  return await core.temp_dir(temp_name("temp_dir", options))
end

return fs
