--[[
walk.lua - require "neap.fs.walk": going through directories.

An iterator here is an object that is called for the next item, is closed when
its loop is left, and gives a list of the rest when it is awaited.
]]

local core = require "neap.fs.core"
local arguments = require "neap.arguments"
local asyncio = require "neap.asyncio"
local check = require "neap.fs.check"

local walk = {}

-- == Iterators ==========================================================

local Iterator = {__name = "Iterator"}
Iterator.__index = Iterator

-- A new one: next(self) gives an item or nil, close(self) lets go. The other
-- values are what a for loop takes.
function walk.iterator(name, self, next, close)
  self._name, self._next, self._close = name, next, close
  setmetatable(self, Iterator)
  return self, nil, nil, self
end

-- What pcall(f, ...) gives. All that waits for the system is done here, so
-- that no other task comes between. One that is cancelled does it again when
-- it comes back.
function walk.waiting(self, f, ...)
  self._waiting = true
  local _ <close> = asyncio.defer(function() self._waiting = false end)
  return pcall(f, ...)
end

function Iterator:__call()
  if self._waiting then
    arguments.misuse(self._name, "another task is waiting for the next one")
  end
  if not self._next then return nil end
  local item = self._next(self)
  if item == nil then self:close() end
  return item
end

-- Closing twice is harmless.
function Iterator:close()
  local close = self._close
  self._next, self._close = nil, nil
  if close then close(self) end
end

Iterator.__close = Iterator.close

-- A list that a for loop may go through like the iterator that gave it.
local function callable(list)
  local at
  return setmetatable(list, {__call = function(_, _, last)
    at = last == nil and 1 or at + 1
    return list[at]
  end})
end

local async function rest(self)
  local _ <close> = self
  local list = {}
  for item in self do list[#list + 1] = item end
  return callable(list)
end

Iterator.__await = rest

-- == One directory ======================================================

-- The next names with their types, or nil.
function walk.read(dir) return await dir:_batch() end

-- Whether there is one more, or the error why not; then the next name and its
-- type of a level {dir=, batch=, at=}.
local function take(self, level)
  if not level.batch or level.at > #level.batch then
    local ok, batch = walk.waiting(self, walk.read, level.dir)
    if not ok then return ok, batch end
    level.batch, level.at = batch, 1
    if not batch then return true, nil end
  end
  local at = level.at
  level.at = at + 2
  return true, level.batch[at], level.batch[at + 1]
end

local function scan_next(self)
  local ok, name, type = take(self, self)
  if not ok then error(name, 0) end
  if name then
    return {name = name, path = check.join(self.path, name), type = type}
  end
end

local function scan_close(self) self.dir:close() end

--- fs.scandir(path) -> iterator of entries
--
-- An entry has `name`, `path` (`path` and the name) and `type` (as for lstat).
function walk.scandir(path, options)
  path = check.path(path, "scandir", "path")
  arguments.options("scandir", options, {})
  return walk.iterator("scandir", {dir = core.dir(path), path = path},
    scan_next, scan_close)
end

-- == All below ==========================================================

local function identity(path)
  local st = await core.stat(path)
  return st.type, ("%d:%d"):format(st.dev, st.ino)
end

local function loops(self, id)
  for _, level in ipairs(self.levels) do
    if level.id == id then return true end
  end
  return false
end

local function enter(self, path, id)
  local levels = self.levels
  local no_follow = #levels > 0 and not self.follow
  levels[#levels + 1] = {
    dir = core.dir(path, no_follow), path = path, id = id,
  }
end

-- Goes into the directory that was given last.
local function descend(self, entry)
  if entry.skip or entry.depth >= self.depth then return end
  if not self.follow then
    if entry.type == "directory" then enter(self, entry.path) end
  elseif entry.type == "directory" or entry.type == "link" then
    local ok, type, id = walk.waiting(self, identity, entry.path)
    if ok and type == "directory" and not loops(self, id) then
      enter(self, entry.path, id)
    end
  end
end

local function leave(self)
  local levels = self.levels
  levels[#levels].dir:close()
  levels[#levels] = nil
end

-- One that has vanished, or is no directory any more, is no failure.
local vanished = {ENOENT = true, ENOTDIR = true, ELOOP = true}

local function failed(self, err)
  local below = #self.levels > 1
  leave(self)
  if below and vanished[err.code] then return end
  if not self.on_error then error(err, 0) end
  self.on_error(err)
end

local function walk_next(self)
  if self.last then descend(self, self.last) end
  self.last = nil
  while true do
    local level = self.levels[#self.levels]
    if not level then return nil end
    local ok, name, type = take(self, level)
    if not self._next then -- it was closed meanwhile
      if not ok then error(name, 0) end
      return nil
    elseif not ok then
      failed(self, name)
    elseif not name then
      leave(self)
    else
      self.last = {
        name = name, path = check.join(level.path, name), type = type,
        depth = #self.levels,
      }
      return self.last
    end
  end
end

local function walk_close(self)
  while #self.levels > 0 do leave(self) end
end

local walk_options = {
  follow = arguments.boolean, depth = check.count, on_error = arguments.func,
}

local function walk_first(self)
  if self.follow then
    local ok, type, id = walk.waiting(self, identity, self.root)
    if not ok then error(type, 0) end
    if not self._next then return nil end
    self.levels[1].id = id
  end
  self._next = walk_next
  return walk_next(self)
end

--- fs.walk(path [, options]) -> iterator of entries
--
-- All that is below `path`, a directory before what is in it; an entry has
-- also `depth` (1 for what is in `path`). A loop that sets `entry.skip = true`
-- on a directory keeps out of it. Options:
--
-- - `follow`: go into directories behind links too (false). One that contains
--   itself in this way is not entered again;
-- - `depth`: the deepest level (no limit);
-- - `on_error`: called with the error of a directory that cannot be read, in
--   place of raising it.
function walk.walk(path, options)
  path = check.path(path, "walk", "path")
  options = arguments.options("walk", options, walk_options)
  local self = {
    root = path, levels = {}, follow = options.follow,
    depth = options.depth or math.maxinteger, on_error = options.on_error,
  }
  enter(self, path)
  return walk.iterator("walk", self, walk_first, walk_close)
end

return walk
