--[[
help.lua - require "neap.repl.help": what is written about a value.

The text is that of the pages in the program, or else the comment above a
function in its source.
]]

local core = require "neap.repl.core"
local pages = require "neap.repl.pages"
local asyncio = require "neap.asyncio"

local help = {}

-- == Pages ==============================================================

local function entry_text(entry)
  local text = pages.plain(entry.text)
  return table.concat(entry.headings, "\n") ..
    (text ~= "" and "\n\n" .. text or "")
end

-- Words in lines of up to 78 columns, each indented; one after itself is left
-- out.
local function wrapped(words)
  local lines, line = {}, "  "
  for i, word in ipairs(words) do
    if word ~= words[i - 1] then
      if line == "  " then
        line = line .. word
      elseif #line + #word > 75 then
        lines[#lines + 1] = line .. ","
        line = "  " .. word
      else
        line = line .. ", " .. word
      end
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- What a page is about, and the names that it has.
local function about_page(name)
  local sections = pages.sections(name)
  if not sections then return nil end
  local parts, titles, example = {}, {}, nil
  parts[1] = pages.plain(sections[1].text:match "^(.-)\n\n"
                         or sections[1].text)
  for _, section in ipairs(sections) do
    local names = {}
    for _, entry in ipairs(section.entries) do
      table.move(entry.names, 1, #entry.names, #names + 1, names)
    end
    example = example or names[1]
    local title = section.title ~= "" and section.title .. "\n" or ""
    if #names > 0 then parts[#parts + 1] = title .. wrapped(names)
    elseif title ~= "" then titles[#titles + 1] = section.title end
  end
  if not example and #titles > 0 then parts[#parts + 1] = wrapped(titles) end
  example = example or titles[1]
  if example then
    parts[#parts + 1] = ("help %q tells about one of them."):format(example)
  end
  return table.concat(parts, "\n\n")
end

-- A section of a page with this title, in any case of letters.
local function about_section(title)
  for _, name in ipairs(core.pages()) do
    for _, section in ipairs(pages.sections(name)) do
      if section.title:lower() == title:lower() and section.text ~= "" then
        return section.title .. "\n\n" .. pages.plain(section.text)
      end
    end
  end
end

-- == Lua's own ==========================================================

local libraries = {"string", "table", "math", "io", "os", "coroutine", "utf8",
                   "debug", "package"}
local manual = "https://www.lua.org/manual/5.4/manual.html#pdf-"

local function lua_name(value)
  for _, name in ipairs(libraries) do
    if rawequal(_G[name], value) then return name end
    for key, member in pairs(_G[name] or {}) do
      if rawequal(member, value) then return name .. "." .. key end
    end
  end
  for key, member in next, _G do
    if rawequal(member, value) and type(value) == "function"
       and debug.getinfo(value, "S").what == "C" then return key end
  end
end

-- == Names ==============================================================

local renamed = {process = "child"}

-- A class is called in the pages as its objects are: TaskGroup is group,
-- neap.Stream is stream.
local function class_of(name)
  name = (name:match "%u%l+$" or name):lower()
  return renamed[name] or name
end

local function class_name(meta)
  local name = type(meta) == "table" and rawget(meta, "__name")
  name = type(name) == "string" and name:match "%w+$"
  return name and class_of(name)
end

local function key_of(t, value)
  for key, member in next, t do
    if rawequal(member, value) and type(key) == "string" then return key end
  end
end

-- Of a field of a module: its name in the pages, or nil.
local function name_of(value)
  for _, name in ipairs(core.pages()) do
    local module = package.loaded["neap." .. name]
    if module ~= nil and rawequal(value, module) then return name end
    if type(module) == "table" then
      for key, member in pairs(module) do
        if rawequal(member, value) and type(key) == "string" then
          return name .. "." .. key
        end
      end
    end
  end
end

-- Of a method of a class that is written in C: the entry, or nil.
local function method_entry(value)
  for _, meta in next, debug.getregistry() do
    local class = type(meta) == "table" and class_name(meta)
    local methods = class and rawget(meta, "__index")
    local key = type(methods) == "table" and key_of(methods, value)
    local entry = key and
      (pages.entry(class .. ":" .. key) or pages.method(key))
    if entry then return entry end
  end
end

-- == Comments ===========================================================

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

local function source_of(info)
  local file = info.source:match "^[@=](.*)$"
  return file and core.source(file)
    or info.source:sub(1, 1) == "@" and read_file(file) or nil
end

-- Where the body of a function is: that of an async one is in its closure.
local function body_info(f)
  local info = debug.getinfo(f, "S")
  for i = 1, info.what == "C" and 8 or 0 do
    local name, value = debug.getupvalue(f, i)
    if not name then break end
    if type(value) == "function" then return debug.getinfo(value, "S") end
  end
  return info
end

-- The entry about a method of neap's own, by the line that defines it; of
-- other functions that are written in Lua the comment above them, or nil.
local function text_at(f)
  local info = body_info(f)
  local source = info.what ~= "C" and source_of(info)
  if not source then return nil end
  local lines, number = {}, 0
  for line in (source .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    if number >= info.linedefined then
      local class, name = line:match "function ([%w_]+):([%w_]+)"
      local entry = class and info.source:find "^=stdlib/"
        and pages.entry(class_of(class) .. ":" .. name)
      if entry then return entry_text(entry) end
      break
    end
    local text = line:match "^%s*%-%-%-*%s?(.*)$"
    if text then lines[#lines + 1] = text else lines = {} end
  end
  if #lines == 0 then return nil end
  return pages.plain(table.concat(lines, "\n"))
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

help(x) or help "net.connect" shows what is written about something, help
"net" what a module has, help "language" what await is.
Modules: ]]

local function modules()
  local names = {}
  for _, name in ipairs(core.pages()) do
    if core.source(("stdlib/%s/%s.lua"):format(name, name)) then
      names[#names + 1] = name
    end
  end
  return table.concat(names, ", ")
end

local words = {async = "The two words", await = "The two words"}

local function by_name(name)
  name = name:gsub("^neap%.", "")
  local entry = pages.entry(name)
  if entry then return entry_text(entry) end
  if name == "" then return nil end
  return about_page(name) or about_section(words[name] or name)
end

-- What an object can do; of its class too, if a module gives that.
local function about_class(meta)
  local class = class_name(meta)
  local names = class and pages.methods(class)
  if class == "task" then
    for _, name in ipairs(pages.methods "future") do
      names[#names + 1] = name
    end
  end
  if not names or #names == 0 then return nil end
  local made = pages.entry("asyncio." .. rawget(meta, "__name"))
  return (made and entry_text(made) or class) .. "\n\n" .. wrapped(names)
end

local function about_lua(value)
  local name = lua_name(value)
  if not name then return nil end
  local anchor = type(value) == "table" and manual:gsub("#.*", "")
    or manual .. name
  return ("%s is Lua's own: %s"):format(name, anchor)
end

-- What of neap itself is in no module.
local function about_language(value)
  for word, title in pairs(words) do
    if rawequal(value, _G[word]) then return about_section(title) end
  end
  if asyncio.iscoroutine(value) then
    return about_section "Calling and awaiting"
  end
  if asyncio.iserror(value) then return by_name "asyncio.Error" end
end

local function by_value(value)
  local name = name_of(value)
  local text = name and by_name(name)
  if text then return text end
  if type(value) == "function" then
    local entry = method_entry(value)
    if entry then return entry_text(entry) end
    text = text_at(value)
  end
  return text or about_language(value) or about_lua(value)
    or about_class(debug.getmetatable(value))
end

-- help.text(value) -> text, what is written about a value or a name
--
-- Without a value: how to use the prompt.
function help.text(...)
  local value = ...
  if select("#", ...) == 0 then return general .. modules() end
  local text
  if type(value) == "string" then
    text = by_name(value)
    local found = _G
    for key in value:gmatch "[%w_]+" do
      found = type(found) == "table" and found[key] or nil
    end
    if not text and found ~= nil and found ~= _G then text = by_value(found) end
  elseif value ~= nil then
    text = by_value(value)
  end
  if text then return text end
  return "nothing is written about " ..
    (type(value) == "string" and ("%q"):format(value) or tostring(value))
end

return help
