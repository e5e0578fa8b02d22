--[[
watch.lua - require "neap.fs.watch": events out of what the kernel tells.

The kernel gives numbers of watches, one for each directory, and names. Here
these become paths, the two halves of a renaming become one event, and a tree
gets a watch for each directory that appears in it. A step that is cancelled
is done again by the next one, so each of them may be done twice.
]]

local core = require "neap.fs.core"
local arguments = require "neap.arguments"
local check = require "neap.fs.check"
local walk = require "neap.fs.walk"
local asyncio = require "neap.asyncio"

local Watcher = {__name = "Watcher"}
Watcher.__index = Watcher

-- Where nothing can be watched, these are never used.
local function mask(...)
  local sum = 0
  for _, name in ipairs {...} do sum = sum | (core["IN_" .. name] or 0) end
  return sum
end

local MASK = mask("MODIFY", "ATTRIB", "MOVED_FROM", "MOVED_TO", "CREATE",
  "DELETE", "DELETE_SELF", "MOVE_SELF")
local BELOW = MASK | mask("ONLYDIR", "DONT_FOLLOW")

local function push(self, type, path, directory, from)
  local queue = self.queue
  queue[#queue + 1] = {
    type = type, path = path, directory = directory, from = from,
  }
end

-- == The directories of a tree ==========================================

-- One that is gone again needs no watch, and one that is not ours to read
-- can have none.
local hidden = {ENOENT = true, ENOTDIR = true, ELOOP = true, EACCES = true}

local function add(self, path, mask)
  return await self.handle:_add(path, mask)
end

local function add_directory(self, path)
  local ok, number = pcall(add, self, path, BELOW)
  if not ok then
    if hidden[number.code] then return end
    error(number, 0)
  end
  local watch = self.watches[number]
  if watch then
    watch.path = path
  else
    self.watches[number] = {path = path, directory = true, found = {}}
  end
  return self.watches[number]
end

local function go_on(err)
  if not hidden[err.code] then error(err, 0) end
end

-- Watches a directory and all below. With `tell`, what is in it is told: the
-- kernel may have told of it before it was watched, or tell it again.
local function add_tree(self, path, tell)
  local watch = add_directory(self, path)
  if not watch then return end
  local found = {[path] = watch.found}
  for entry in walk.walk(path, {on_error = go_on}) do
    local parent, name = entry.path:match "^(.*)/([^/]+)$"
    if tell and found[parent] and not found[parent][name] then
      found[parent][name] = true
      push(self, "created", entry.path, entry.type == "directory")
    end
    if entry.type == "directory" then
      local below = add_directory(self, entry.path)
      if below then found[entry.path] = below.found end
    end
  end
end

-- Watches all directories below that are not watched yet.
local function add_all(self)
  for entry in walk.walk(self.path, {on_error = go_on}) do
    if entry.type == "directory" then add_directory(self, entry.path) end
  end
end

local function below(path, top)
  return path == top or path:sub(1, #top + 1) == top .. "/"
end

local function drop_tree(self, path)
  for number, watch in pairs(self.watches) do
    if not watch.root and below(watch.path, path) then
      self.handle:_drop(number)
      self.watches[number] = nil
    end
  end
end

local function move_tree(self, from, to)
  for _, watch in pairs(self.watches) do
    if not watch.root and below(watch.path, from) then
      watch.path = to .. watch.path:sub(#from + 1)
    end
  end
end

-- == What an event means ================================================

local function appeared(self, watch, path, name, directory)
  local found = watch.found
  if directory and self.recursive then add_tree(self, path, true) end
  if found[name] then
    found[name] = nil -- told already
  else
    table.insert(self.queue, 1, {
      type = "created", path = path, directory = directory,
    })
  end
end

local function disappeared(self, watch, path, name, directory)
  watch.found[name] = nil
  if directory and self.recursive then drop_tree(self, path) end
  push(self, "removed", path, directory)
end

-- The other half of a renaming follows at once, if there is one; it may be
-- in what has not been read yet.
local function other_half(self, cookie)
  local raw, at = self.raw, self.at + 4
  if not raw[at] and not self.waited then
    await asyncio.sleep(0.001)
    local more = await self.handle:_read(true)
    table.move(more, 1, #more, #raw + 1, raw)
    self.waited = true
  end
  local watch = raw[at] and self.watches[raw[at]]
  if watch and raw[at + 1] & core.IN_MOVED_TO ~= 0 and
      raw[at + 2] == cookie then
    return watch, raw[at + 3]
  end
end

local function moved(self, watch, path, name, directory, cookie)
  local to, new_name = other_half(self, cookie)
  if not to then return disappeared(self, watch, path, name, directory) end
  local new_path = check.join(to.path, new_name)
  watch.found[name], to.found[new_name] = nil, nil
  if directory and self.recursive then move_tree(self, path, new_path) end
  push(self, "renamed", new_path, directory, path)
  self.at = self.at + 4
end

-- What happens to a watched directory itself is told by the one above.
local function itself(self, watch, mask)
  if mask & (core.IN_DELETE_SELF | core.IN_MOVE_SELF | core.IN_UNMOUNT) ~= 0
  then
    push(self, "removed", watch.path, watch.directory)
    self.ended = true
  elseif mask & core.IN_MODIFY ~= 0 then
    push(self, "changed", watch.path, watch.directory)
  elseif mask & core.IN_ATTRIB ~= 0 then
    push(self, "attributes", watch.path, watch.directory)
  end
end

local function named(self, watch, mask, cookie, name)
  local path = check.join(watch.path, name)
  local directory = mask & core.IN_ISDIR ~= 0
  if mask & core.IN_MOVED_FROM ~= 0 then
    moved(self, watch, path, name, directory, cookie)
  elseif mask & (core.IN_CREATE | core.IN_MOVED_TO) ~= 0 then
    appeared(self, watch, path, name, directory)
  elseif mask & core.IN_DELETE ~= 0 then
    disappeared(self, watch, path, name, directory)
  elseif mask & core.IN_MODIFY ~= 0 then
    push(self, "changed", path, directory)
  elseif mask & core.IN_ATTRIB ~= 0 then
    push(self, "attributes", path, directory)
  end
end

local function event(self, number, mask, cookie, name)
  local watch = self.watches[number]
  if mask & core.IN_Q_OVERFLOW ~= 0 then
    if self.recursive and self.directory then add_all(self) end
    push(self, "overflow", self.path, self.directory)
  elseif not watch then
    return
  elseif mask & core.IN_IGNORED ~= 0 then
    self.watches[number] = nil
    if watch.root then self.ended = true end
  elseif name ~= "" then
    named(self, watch, mask, cookie, name)
  elseif watch.root then
    itself(self, watch, mask)
  end
end

-- == The class ==========================================================

-- Takes what the kernel has and makes events of some of it.
local function step(self)
  local raw, at = self.raw, self.at
  if not raw[at] then
    self.raw, self.at = await self.handle:_read(), 1
    self.waited = false
    return
  end
  event(self, raw[at], raw[at + 1], raw[at + 2], raw[at + 3])
  self.at = self.at + 4
end

local function start(self)
  local number = add(self, self.path, MASK) -- first, as its error says so
  self.directory = (await core.stat(self.path)).type == "directory"
  self.watches[number] = {
    path = self.path, directory = self.directory, root = true, found = {},
  }
  if self.recursive and self.directory then add_all(self) end
end

-- One that cannot begin is of no use.
local function begin(self)
  if self:closed() then
    arguments.misuse("watch", "the Watcher is closed")
  end
  self.stepping = true
  local _ <close> = asyncio.defer(function()
    self.stepping = false
    if not self.begun then self:close() end
  end)
  local ok, err = pcall(start, self)
  if not ok and self:closed() then
    err = asyncio.OSError.new(("watch %s: it was closed"):format(self.path),
      {code = "ECLOSED"})
  end
  if not ok then error(err, 0) end
  self.begun = true
end

local function alone(self)
  if self.stepping then
    arguments.misuse("next", "another task is waiting for events")
  end
end

async function Watcher:__await()
  alone(self)
  if not self.begun then begin(self) end
  return self
end

async function Watcher:next()
  alone(self)
  if not self.begun then begin(self) end
  while #self.queue == 0 and not self.ended do
    self.stepping = true
    local _ <close> = asyncio.defer(function() self.stepping = false end)
    step(self)
  end
  local first = table.remove(self.queue, 1)
  if not first then self:close() end
  return first
end

local function await_next(self) return await self:next() end

local function next_event(self)
  if self:closed() then return nil end
  local ok, result = pcall(await_next, self)
  if ok then return result end
  if self:closed() and asyncio.iserror(result) and
      result.code == "ECLOSED" then
    return nil
  end
  error(result, 0)
end

--- watcher:events() -> iterator
--- async watcher:next() -> event
--
-- `for event in watcher:events() do` (or `for event in watcher do`): the next
-- event, waiting for one; nil when the watcher is closed, or when what it
-- watches is gone. An event has `path`, `type` and `directory` (whether it is
-- about a directory):
--
-- - `"created"`, `"removed"`: a name is there, or no longer;
-- - `"changed"`: the contents were written or cut;
-- - `"attributes"`: mode, owner, links or times;
-- - `"renamed"`: from the path `event.from`; if the other end is not watched,
--   it is created or removed;
-- - `"overflow"`: events came faster than they were taken and some are lost.
--   Look at everything anew.
--
-- A watched file that somebody still has open is not gone until that is
-- closed (`"attributes"` tells of the lost name); to see names go, watch the
-- directory.
-- Several changes of one file may be one event. Network file systems tell only
-- what this machine does.
--
-- ```lua
-- local fs = require "neap.fs"
-- local dir <close> = await fs.temp_dir()
-- local watcher <close> = await fs.watch(dir:path())
-- await fs.write_file(dir:path "new", "x")
-- local event = await watcher:next()
-- print(event.type, event.path == dir:path "new")
-- --> created true
-- ```
function Watcher:events()
  return function() return next_event(self) end
end

Watcher.__call = next_event

--- watcher:close(), watcher:closed()
--
-- As for files.
function Watcher:close() self.handle:close() end
function Watcher:closed() return self.handle:closed() end
Watcher.__close = Watcher.close

-- == Making one =========================================================

--- async fs.watch(path [, options]) -> Watcher
--
-- Watches a file, or a directory and what is directly in it, from the moment
-- it returns. The option `recursive` watches all directories below as well,
-- those that are made later included (false), but for those that we may not
-- read. Watching needs Linux; elsewhere this is an OSError with the code
-- `"ENOSYS"`. Without `await`, as in `for event in fs.watch(path) do`, it
-- begins when the first event is asked for.
local function watch(path, options)
  path = check.path(path, "watch", "path")
  options = arguments.options("watch", options, {recursive = arguments.boolean})
  return setmetatable({
    path = path, recursive = options.recursive, handle = core.watch(path),
    watches = {}, queue = {}, raw = {}, at = 1,
  }, Watcher)
end

return watch
