--[[
help.lua - require "neap.repl.help": what is written about a value.

The text is that of the pages in doc/, found beside the program, or else the
comment above a function in its source.
]]

local core = require "neap.repl.core"

local help = {}

-- == Pages ==============================================================

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

-- Where pages can be: named by the environment, installed, or in the tree
-- that the program was built in.
local function places()
  local list = {os.getenv "NEAP_DOC"}
  local directory = (core.program() or ""):match "^(.*)/"
  if directory then
    list[#list + 1] = directory .. "/../share/doc/neap"
    list[#list + 1] = directory .. "/../doc"
    list[#list + 1] = directory .. "/../../doc"
  end
  return list
end

local function page_of(name)
  for _, place in ipairs(places()) do
    local text = read_file(("%s/modules/%s.md"):format(place, name))
      or read_file(("%s/%s.md"):format(place, name))
    if text then return text end
  end
end

-- The names that a heading is about: `a.f(x), a.g() → y` is a.f and a.g.
local function names_of(heading)
  heading = heading:gsub("`", ""):gsub("→.*", ""):gsub("%->.*", "")
    :gsub("%*async%*", ""):gsub("%b()", ""):gsub("%b{}", ""):gsub("%b[]", "")
  local names = {}
  for name in heading:gmatch "[^,]+" do
    name = name:match "^%s*(.-)%s*$"
    if name:find "^[%a_][%w_.:]*$" then names[#names + 1] = name end
  end
  return names
end

-- For each name its entry: the heading and what follows it.
local function entries_of(page)
  local entries, order = {}, {}
  local names, lines, fenced = nil, nil, false
  local function finish()
    if not names then return end
    local text = table.concat(lines, "\n"):gsub("%s+$", "")
    for _, name in ipairs(names) do
      if entries[name] then
        entries[name] = entries[name] .. "\n\n" .. text
      else
        entries[name] = text
        order[#order + 1] = name
      end
    end
    names = nil
  end
  for line in (page .. "\n"):gmatch "(.-)\n" do
    if line:find "^```" then fenced = not fenced end
    local heading = not fenced and line:match "^##+%s+(.*)$"
    if heading then
      finish()
      names, lines = names_of(heading), {(heading:gsub("%s+%*async%*", ""))}
    elseif names then
      lines[#lines + 1] = line
    end
  end
  finish()
  return entries, order
end

-- The names of our modules: asyncio, net, ...
local function modules()
  local list, seen = {}, {}
  for _, module in ipairs(core.modules()) do
    local name = module.name:match "^neap%.([%w_]+)"
    if name and not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

-- Markdown as a terminal shows it.
local function plain(text)
  return (text:gsub("%[([^%]\n]+)%]%([^)\n]*%)", "%1")
    :gsub("\n```%l*", "\n"):gsub("`([^`\n]*)`", "%1")
    :gsub("%*%*([^*\n]+)%*%*", "%1"):gsub("%*([%a][^*\n]*)%*", "%1")
    :gsub("\n\n\n+", "\n\n"))
end

local function about_module(name, page)
  local text = page:gsub("^#[^\n]*\n+", ""):match "^(.-)\n\n" or ""
  local _, order = entries_of(page)
  local lines = {"neap." .. name .. "\n", plain(text) .. "\n"}
  local example
  for _, entry in ipairs(order) do
    if entry:find "[.:]" then
      lines[#lines + 1] = "  " .. entry
      example = example or entry
    end
  end
  if example then
    lines[#lines + 1] = ("\nhelp %q tells about one of them."):format(example)
  end
  return table.concat(lines, "\n")
end

-- == Lua's own ==========================================================

local libraries = {"string", "table", "math", "io", "os", "coroutine", "utf8",
                   "debug", "package"}
local manual = "https://www.lua.org/manual/5.4/manual.html#pdf-"

local function lua_name(value)
  for _, name in ipairs(libraries) do
    if _G[name] == value then return name end
    for key, member in pairs(_G[name] or {}) do
      if member == value then return name .. "." .. key end
    end
  end
  for key, member in next, _G do
    if member == value and type(value) == "function"
       and debug.getinfo(value, "S").what == "C" then return key end
  end
end

-- == Names ==============================================================

local function class_name(meta)
  local name = type(meta) == "table" and rawget(meta, "__name")
  name = type(name) == "string" and name:match "[%w_]+$"
  return name and name:lower()
end

local function member_name(class, methods, value)
  if type(methods) ~= "table" then return nil end
  for key, member in next, methods do
    if member == value and type(key) == "string" then
      return class .. ":" .. key
    end
  end
end

-- The name that the pages have for a value, or nil.
local function name_of(value)
  for _, name in ipairs(modules()) do
    local module = package.loaded["neap." .. name]
    if value == module then return name end
    if type(module) == "table" then
      for key, member in pairs(module) do
        if member == value and type(key) == "string" then
          return name .. "." .. key
        end
      end
    end
  end
  for key, meta in next, debug.getregistry() do
    if type(key) == "string" and type(meta) == "table" then
      local class = class_name(meta)
      local found = class and member_name(class, meta.__index, value)
      if found then return found end
    end
  end
  return lua_name(value)
end

-- == Comments ===========================================================

local function source_of(info)
  local file = info.source:match "^[@=](.*)$"
  for _, module in ipairs(core.modules()) do
    if module.file and module.file == file then return module.source end
  end
  return info.source:sub(1, 1) == "@" and read_file(file) or nil
end

-- The comment above a function that is written in Lua, or nil.
local function comment_of(f)
  local info = debug.getinfo(f, "S")
  for i = 1, info.what == "C" and 8 or 0 do
    local name, value = debug.getupvalue(f, i)
    if not name then break end
    if type(value) == "function" then
      info = debug.getinfo(value, "S")
      break
    end
  end
  local source = info.what ~= "C" and source_of(info)
  if not source then return nil end
  local lines, number = {}, 0
  for line in (source .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    if number >= info.linedefined then break end
    local text = line:match "^%s*%-%-%-*%s?(.*)$"
    if text then lines[#lines + 1] = text else lines = {} end
  end
  if #lines == 0 then return nil end
  return table.concat(lines, "\n")
end

-- == All of it ==========================================================

local general = [[
Type an expression to see its value, or statements to run them; await works.
A statement goes on over several lines until it is complete. _ is the last
value (_2, _3 ... are those behind the first). Locals of a line are also set
as globals, for the next lines.

  Tab          completes names, fields, methods, names of modules
  Up, Down     lines that were typed before; Ctrl-R searches them
  Ctrl-C       cancels what runs, or gives the line up
  Ctrl-D       ends

help(x) or help "net.connect" shows what is written about something.
Modules: ]]

local function by_name(name)
  name = name:gsub("^neap%.", "")
  local page = page_of(name)
  if page then return about_module(name, page) end
  local wanted = name:match "^[%w_]+"
  for _, module in ipairs(modules()) do
    local text = page_of(module)
    local entry = text and entries_of(text)[name]
    if entry then return plain(entry) end
    if wanted == module and not text then break end
  end
end

local function all_of_class(class)
  local lines = {}
  for _, module in ipairs(modules()) do
    local text = page_of(module)
    local _, order = entries_of(text or "")
    for _, name in ipairs(order) do
      if name:sub(1, #class + 1) == class .. ":" then
        lines[#lines + 1] = "  " .. name
      end
    end
  end
  if #lines > 0 then return class .. "\n\n" .. table.concat(lines, "\n") end
end

local function by_value(value)
  local name = name_of(value)
  local text = name and by_name(name)
  if text then return text end
  if type(value) == "function" then
    local comment = comment_of(value)
    if comment then return comment end
  end
  local lua = lua_name(value)
  if lua then
    local anchor = type(value) == "table" and "" or lua
    return ("%s is Lua's own: %s"):format(lua,
      anchor == "" and manual:gsub("#.*", "") or manual .. anchor)
  end
  local class = class_name(debug.getmetatable(value))
  return class and all_of_class(class)
end

--- help.text(value) -> text, what is written about a value or a name
--
-- Without a value: how to use the prompt.
function help.text(...)
  local value = ...
  if select("#", ...) == 0 then
    return general .. table.concat(modules(), ", ")
  end
  local text
  if type(value) == "string" then text = by_name(value) end
  if value ~= nil and not text then text = by_value(value) end
  if text then return text end
  if type(value) == "string" then
    local found = _G
    for key in value:gmatch "[%w_]+" do
      found = type(found) == "table" and found[key] or nil
    end
    text = found ~= nil and by_value(found)
    return text or ("nothing is written about %q"):format(value)
  end
  return "nothing is written about " .. tostring(value)
end

return help
