--[[
complete.lua - require "neap.repl.complete": what a half-typed name can become.

Runs no code of the script's: fields are found by rawget, in metatables'
__index tables, and by calling __index or __pairs only of what has both, in C.
]]

local core = require "neap.repl.core"

local complete = {}

local words = {}
for word in ([[and async await break do else elseif end false for function
  goto if in local nil not or repeat return then true until while]])
  :gmatch "%l+" do
  words[#words + 1] = word
end

local function metatable_of(value)
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and meta or nil
end

local function is_of_c(f)
  return type(f) == "function" and debug.getinfo(f, "S").what == "C"
end

-- A table that says itself what it holds, as asyncio does.
local function is_enumerable(meta)
  return meta and is_of_c(rawget(meta, "__pairs")) and
    is_of_c(rawget(meta, "__index"))
end

local function field(value, name)
  for _ = 1, 20 do
    if type(value) == "table" then
      local found = rawget(value, name)
      if found ~= nil then return found end
    end
    local meta = metatable_of(value)
    local index = meta and rawget(meta, "__index")
    if is_enumerable(meta) then
      local ok, found = pcall(function() return value[name] end)
      return ok and found or nil
    end
    if index == nil or type(index) == "function" then return nil end
    value = index
  end
end

local function add_keys(names, value)
  for _ = 1, 20 do
    local meta = metatable_of(value)
    if is_enumerable(meta) then
      pcall(function() for _ in pairs(value) do break end end)
    end
    if type(value) == "table" then
      local count = 0
      for key in next, value do
        count = count + 1
        if count > 20000 then break end
        if type(key) == "string" and key:find "^[%a_][%w_]*$" then
          names[key] = true
        end
      end
    end
    value = meta and rawget(meta, "__index")
    if type(value) ~= "table" and type(value) ~= "userdata" then return end
  end
end

local function sorted(names, start)
  local list = {}
  for name in pairs(names) do
    if name:sub(1, #start) == start and
       (name:sub(1, 1) ~= "_" or start:sub(1, 1) == "_") then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

-- == Names of modules ===================================================

-- What is under a directory of package.path; "a.b." looks into a/b.
local function add_files(names, template, start)
  local directory = template:match "^(.*)/%?%.lua$"
  local inside = start:match "^(.*)%.[^.]*$"
  if not directory then return end
  local path = directory .. (inside and "/" .. inside:gsub("%.", "/") or "")
  for _, file in ipairs(core.list(path)) do
    local name = file:match "^([%w_-]+)%.lua$"
    if name then names[(inside and inside .. "." or "") .. name] = true end
  end
end

local function modules(start)
  local names = {}
  for name in pairs(package.loaded) do names[name] = true end
  for name in pairs(package.preload) do names[name] = true end
  for _, name in ipairs(core.modules()) do names[name] = true end
  for template in package.path:gmatch "[^;]+" do
    add_files(names, template, start)
  end
  for name in pairs(names) do
    -- Parts of a module, such as neap.fs.walk, for those who ask.
    local module = name:match "^neap%.[%w_]+%."
    if name == "_G" or name:find "^neap%..*%.core$"
       or module and start:sub(1, #module) ~= module then
      names[name] = nil
    end
  end
  return sorted(names, start)
end

-- == All of it ==========================================================

-- complete.find(text, env) -> list of what the last word can become, and
-- how many bytes of it stand there already
function complete.find(text, env)
  local start = text:match "require%s*%(?%s*[\"']([%w_.-]*)$"
  if start then return modules(start), #start end
  local path, mark
  path, mark, start = text:match "([%a_][%w_.]*)([.:])([%w_]*)$"
  if not path then
    mark, start = text:match "[\"'%)]%s*(:)([%w_]*)$", text:match "[%w_]*$"
    if mark then return sorted(getmetatable("").__index, start), #start end
    if start == "" or start:find "^%d" then return {}, 0 end
    local names = {}
    for _, word in ipairs(words) do names[word] = true end
    add_keys(names, env)
    return sorted(names, start), #start
  end
  -- "x..y" is no field, and neither is what follows a number or a call.
  if path:find("..", 1, true) or path:find "%.$" then return {}, 0 end
  local before = text:sub(1, #text - #path - #mark - #start)
  if before:find "[%w_%])\"'.:]$" then return {}, 0 end
  local value = env
  for name in path:gmatch "[^.]+" do
    value = field(value, name)
    if value == nil then return {}, 0 end
  end
  local names = {}
  add_keys(names, value)
  local list = sorted(names, start)
  if mark == ":" then
    local methods = {}
    for _, name in ipairs(list) do
      if type(field(value, name)) == "function" then
        methods[#methods + 1] = name
      end
    end
    list = methods
  end
  return list, #start
end

-- complete.common(list) -> the longest beginning that all have
function complete.common(list)
  local common = list[1] or ""
  for _, name in ipairs(list) do
    while name:sub(1, #common) ~= common do common = common:sub(1, -2) end
  end
  return common
end

-- complete.columns(list, width) -> text, the list as a table
function complete.columns(list, width)
  local widest = 0
  for _, name in ipairs(list) do widest = math.max(widest, #name) end
  local across = math.max(1, (width - 1) // (widest + 2))
  local down = (#list + across - 1) // across
  local lines = {}
  for row = 1, down do
    local cells = {}
    for column = 0, across - 1 do
      local name = list[column * down + row]
      if name then cells[#cells + 1] = name .. (" "):rep(widest - #name) end
    end
    lines[row] = table.concat(cells, "  "):gsub("%s+$", "")
  end
  return table.concat(lines, "\n") .. "\n"
end

return complete
