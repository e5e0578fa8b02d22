-- documented.lua - prints every public Lua name that has no documentation
-- comment.
--
--   neap scripts/check/documented.lua stdlib/asyncio/ stdlib/net/ ...
--
-- Public are the fields of a module and the methods of its classes but for
-- those that begin with an underscore; a class without a __name is for the
-- module's own use. What has a comment is an entry of the module's page,
-- doc/modules/NAME.md (see scripts/page.awk); a field that is no function may
-- be any word of the page. Which module a class belongs to cannot be seen, so
-- its methods may be entries of any page.

local missing, entries = 0, {}

local function complain(...)
  missing = missing + 1
  print(("%s: no comment about %s"):format(...))
end

local function has_word(page, name)
  return page:find("%f[%w_]" .. name .. "%f[^%w_]") ~= nil
end

local function is_public(name)
  return type(name) == "string" and not name:find "^_"
end

-- Adds the names of the page's entries: "net.connect", ":read".
local function add_entries(page)
  for heading in ("\n" .. page):gmatch "\n### ([^\n]*)" do
    for name in heading:gmatch "[%a_][%w_]*[.:][%w_.:]*" do
      local class, mark, method = name:match "^([%w_]+)([.:])([%w_]+)$"
      entries[name] = true
      if class then
        entries[class .. ":" .. method], entries[":" .. method] = true, true
        if mark == ":" then entries[class] = true end
      end
    end
  end
end

local function check_module(name, module)
  local path = "doc/modules/" .. name .. ".md"
  local file = io.open(path)
  if not file then return complain(path, "neap." .. name) end
  local page = file:read "a"
  file:close()
  add_entries(page)
  if type(module) ~= "table" then return end
  for field, value in pairs(module) do
    if is_public(field) and not entries[name .. "." .. field]
       and (type(value) == "function" or not has_word(page, field)) then
      complain(path, name .. "." .. field)
    end
  end
end

-- == The classes that can be reached from a value =======================

local classes, seen, walk = {}, {}, nil

local function walk_table(t)
  local index = rawget(t, "__index")
  local name = type(index) == "table"
    and (rawget(t, "__name") or rawget(index, "__name"))
  if name then classes[index] = name end
  for key, value in next, t do
    walk(key)
    walk(value)
  end
end

local function walk_function(f)
  local i = 1
  while true do
    local name, value = debug.getupvalue(f, i)
    if not name then return end
    walk(value)
    i = i + 1
  end
end

function walk(value)
  local kind = type(value)
  if value == nil or seen[value] then return end
  seen[value] = true
  if kind == "table" then walk_table(value) end
  if kind == "function" then walk_function(value) end
  local metatable = debug.getmetatable(value)
  if metatable then walk(metatable) end
end

-- In the pages an object has the last word of its class's name: TaskGroup is
-- group, neap.Stream is stream. A Task has all that a Future has.
local function word_of(class)
  local word = class:match "%w+$" or class
  word = (word:match "%u%l+$" or word):lower()
  return word == "future" and "task" or word
end

-- A class that no page knows by this word may be called otherwise (a Process
-- is child), or is a module's own with methods that are documented elsewhere.
local function check_class(methods, class)
  local word = word_of(class)
  for name, value in pairs(methods) do
    if is_public(name) and type(value) == "function"
       and not entries[(entries[word] and word or "") .. ":" .. name]
       and not (word == "task" and entries["future:" .. name]) then
      complain("doc/modules", ("%s:%s"):format(word, name))
    end
  end
end

-- == All of it ==========================================================

for _, room in ipairs(arg) do
  local name = room:match "([^/]+)/*$"
  local ok, module = pcall(require, "neap." .. name)
  check_module(name, ok and module)
end

walk(debug.getregistry())
for _, library in ipairs {_G, io, string, table, package, debug, os, utf8} do
  classes[library] = nil
end
classes[getmetatable(io.stdout).__index] = nil
for methods, class in pairs(classes) do check_class(methods, class) end

os.exit(missing == 0)
