--[[
glob.lua - require "neap.fs.glob": the paths that match a pattern.

A pattern is first replaced by those that its braces stand for. Each of them
is a list of parts, one for each name of a path: a name to be taken as it is,
`**`, or the pieces of a pattern.
]]

local core = require "neap.fs.core"
local arguments = require "neap.arguments"
local check = require "neap.fs.check"
local walk = require "neap.fs.walk"
local asyncio = require "neap.asyncio"

-- == Braces =============================================================

-- Where what opens at `from` closes, and where its commas are; nothing if it
-- does not close or has no comma.
local function group(text, from)
  local depth, commas, i = 0, {}, from
  while i <= #text do
    local c = text:sub(i, i)
    if c == "\\" then
      i = i + 1
    elseif c == "{" then
      depth = depth + 1
    elseif c == "," and depth == 1 then
      commas[#commas + 1] = i
    elseif c == "}" then
      depth = depth - 1
      if depth == 0 then return #commas > 0 and i, commas end
    end
    i = i + 1
  end
end

-- Adds to `list` what `text` stands for; the braces before `from` are plain.
local function expand(text, from, list)
  local i = from
  while i <= #text do
    local c = text:sub(i, i)
    local close, commas
    if c == "{" then close, commas = group(text, i) end
    if close then
      local before, after = text:sub(1, i - 1), text:sub(close + 1)
      local start = i + 1
      commas[#commas + 1] = close
      for _, comma in ipairs(commas) do
        expand(before .. text:sub(start, comma - 1) .. after, i, list)
        start = comma + 1
      end
      return
    end
    i = i + (c == "\\" and 2 or 1)
  end
  list[#list + 1] = text
end

-- == Parts ==============================================================

local function escape(text) return (text:gsub("%p", "%%%0")) end

-- One byte of a class, which may be after a backslash, and where it ends.
local function member(part, at)
  if part:find("^\\.", at) then at = at + 1 end
  return part:byte(at), at + 1
end

-- A class at `i` as a class of Lua's, and where it ends.
local function class(part, i)
  local negated, at = part:match("^%[([!^]?)()", i)
  local first, set = at, {}
  while at == first or part:sub(at, at) ~= "]" do
    if at > #part then return nil end
    local low, high
    low, at = member(part, at)
    high = low
    if part:find("^%-[^%]]", at) then high, at = member(part, at + 1) end
    for byte = low, high do set[#set + 1] = string.char(byte) end
  end
  if #set == 0 then return negated ~= "" and "." or "[^\0-\255]", at end
  return "[" .. (negated ~= "" and "^" or "") .. escape(table.concat(set)) ..
    "]", at
end

-- A part is cut at its stars. What is between them is a Lua pattern for so
-- many bytes, so that names are matched without going back: `*a*a*a*b` takes
-- no longer than it must.
local function compile(part, dot)
  local pieces, piece = {}, {text = "", bytes = 0}
  local name, i, magic = {}, 1, false
  while i <= #part do
    local c = part:sub(i, i)
    local item
    if c == "?" then
      item = "."
    elseif c == "[" then
      local found, close = class(part, i)
      item, i = found, close or i
    elseif c == "\\" and i < #part then
      i = i + 1
      c = part:sub(i, i)
    elseif c == "*" then
      pieces[#pieces + 1] = piece
      piece = {text = "", bytes = -1}
      item = ""
    end
    magic = magic or item ~= nil
    piece.text = piece.text .. (item or escape(c))
    piece.bytes = piece.bytes + 1
    name[#name + 1] = c
    i = i + 1
  end
  if not magic then return {name = table.concat(name)} end
  pieces[#pieces + 1] = piece
  return {pieces = pieces, dot = dot or part:sub(1, 1) == "."}
end

-- The parts of a pattern without braces, and where it starts.
local function parse(text, dot)
  local parts, start = {}, text:match "^/" or ""
  local directory = text:find "/$" ~= nil
  for part in text:gmatch "[^/]+" do
    local last = parts[#parts]
    if part ~= "**" then
      parts[#parts + 1] = compile(part, dot)
    elseif not (last and last.any) then -- two of them say no more than one
      parts[#parts + 1] = {any = true, dot = dot}
    end
  end
  return {parts = parts, start = start, directory = directory}
end

-- == Searching: a generator =============================================

-- What pcall(f, x) gives. It is glob_next that waits, since a cancellation in
-- here would be the generator's end.
local WAIT = {}
local function wait(f, x) return coroutine.yield(WAIT, f, x) end

local function join(base, name)
  return base == "" and name or check.join(base, name)
end

local function real(search, path)
  if path == "" then return search.root or "." end
  if search.root and path:sub(1, 1) ~= "/" then
    return check.join(search.root, path)
  end
  return path
end

-- What cannot be read has nothing in it.
local function unreadable(err)
  if not asyncio.iserror(err, asyncio.OSError) then error(err, 0) end
end

-- The type of what is there, or nil.
local function type_of(search, path, follow)
  local stat = follow and core.stat or core.lstat
  local function ask(at) return await stat(at) end
  local ok, st = wait(ask, real(search, path))
  if ok then return st.type end
  unreadable(st)
end

local function give(search, path, type)
  if search.directory then
    if type ~= "directory" and
        type_of(search, path, true) ~= "directory" then
      return
    end
    path = check.join(path, "")
  end
  local seen = search.seen
  if seen then
    if seen[path] then return end
    seen[path] = true
  end
  coroutine.yield(path)
end

-- Takes each piece where it is first; the last one is at the end.
local function fits(pieces, name)
  local last, at = #pieces, 1
  for i = 1, last - 1 do
    local anchor = i == 1 and "^" or ""
    local _, to = name:find(anchor .. pieces[i].text, at)
    if not to then return false end
    at = to + 1
  end
  local from = #name - pieces[last].bytes + 1
  return from >= at and (last > 1 or from == 1) and
    name:find("^" .. pieces[last].text, from) ~= nil
end

local function matches(part, name)
  if name:sub(1, 1) == "." and not part.dot then return false end
  return part.any or fits(part.pieces, name)
end

local function each(search, base, f)
  local dir <close> = core.dir(real(search, base))
  while true do
    local ok, batch = wait(walk.read, dir)
    if not ok then return unreadable(batch) end
    if not batch then return end
    for i = 1, #batch, 2 do f(batch[i], batch[i + 1]) end
  end
end

local visit

-- A name has matched part `i`.
local function matched(search, path, type, i)
  if i == #search.parts then
    give(search, path, type)
  elseif type == "directory" or type == "link" or type == "unknown" then
    visit(search, path, i + 1)
  end
end

-- `**`, and the part after it in the same reading if that is a pattern.
local function visit_any(search, base, i)
  local any, after = search.parts[i], search.parts[i + 1]
  local together = after and after.pieces
  if after and not together then visit(search, base, i + 1) end
  each(search, base, function(name, type)
    local path = join(base, name)
    if not after then
      if matches(any, name) then give(search, path, type) end
    elseif together and matches(after, name) then
      matched(search, path, type, i + 1)
    end
    if type == "directory" and matches(any, name) then
      visit(search, path, i)
    end
  end)
end

function visit(search, base, i)
  local part = search.parts[i]
  if part.any then
    visit_any(search, base, i)
  elseif part.pieces then
    each(search, base, function(name, type)
      if matches(part, name) then
        matched(search, join(base, name), type, i)
      end
    end)
  elseif i < #search.parts then
    visit(search, join(base, part.name), i + 1)
  else
    local path = join(base, part.name)
    local type = type_of(search, path)
    if type then give(search, path, type) end
  end
end

local function search_all(searches)
  for _, search in ipairs(searches) do
    if #search.parts > 0 then
      visit(search, search.start, 1)
    elseif search.start ~= "" then
      give(search, search.start, "directory")
    end
  end
end

-- == The iterator =======================================================

-- Goes on in the generator: a path, or WAIT for self.f(self.x).
local function step(self, ...)
  local ok, path, f, x = coroutine.resume(self.generator, ...)
  if not ok then error(path, 0) end
  self.f, self.x = f, x
  return path
end

local function glob_next(self)
  local path = self.f and WAIT or step(self, self.searches)
  while path == WAIT do
    local ok, result = walk.waiting(self, self.f, self.x)
    if not self._next then -- it was closed meanwhile
      if not ok then error(result, 0) end
      return nil
    end
    path = step(self, ok, result)
  end
  return path
end

local function glob_close(self)
  coroutine.close(self.generator)
end

-- Two ways may lead to one path if there are several patterns, or several
-- parts that stand for any number of directories.
local function ambiguous(searches)
  local any = 0
  for _, part in ipairs(searches[1].parts) do
    if part.any then any = any + 1 end
  end
  return #searches > 1 or any > 1
end

local glob_options = {root = check.directory, dot = arguments.boolean}

--- fs.glob(pattern [, options]) -> iterator of paths
--
-- The paths that match: `*` stands for any bytes in a name, `?` for one,
-- `[a-z]` and `[!a-z]` for one of these and one of the others, `{a,b}` for
-- either, `**` as a whole name for any number of directories (not behind
-- links), and a backslash takes the meaning of what follows. Names that begin
-- with a dot match only if the pattern's part does, too. What cannot be read
-- is left out. Options:
--
-- - `root`: where a relative pattern starts; the paths start there as well,
--   and do not have it in them (the current directory);
-- - `dot`: names that begin with a dot are like others (false).
--
-- ```lua
-- local fs = require "neap.fs"
-- local dir <close> = await fs.temp_dir()
-- await fs.mkdir(dir:path "src/deep", {parents = true})
-- for _, name in ipairs {"src/a.c", "src/b.h", "src/deep/c.c"} do
--   await fs.write_file(dir:path(name), "")
-- end
-- local found = await fs.glob("src/**/*.{c,h}", {root = dir:path()})
-- table.sort(found)
-- print(table.concat(found, " "))
-- --> src/a.c src/b.h src/deep/c.c
-- for entry in fs.walk(dir:path()) do
--   if entry.name == "deep" then entry.skip = true end
--   if entry.depth == 1 then print(entry.name, entry.type) end
-- end
-- --> src	directory
-- ```
return function(pattern, options)
  check.path(pattern, "glob", "pattern")
  options = arguments.options("glob", options, glob_options)
  local texts, searches = {}, {}
  expand(pattern, 1, texts)
  for i, text in ipairs(texts) do
    searches[i] = parse(text, options.dot)
    searches[i].root = options.root and tostring(options.root)
  end
  local seen = ambiguous(searches) and {} or nil
  for _, search in ipairs(searches) do search.seen = seen end
  return walk.iterator("glob",
    {searches = searches, generator = coroutine.create(search_all)},
    glob_next, glob_close)
end
