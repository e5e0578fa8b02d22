--[[
pages.lua - require "neap.repl.pages": what the pages in the program say.

They are those of doc/: of each module, with the comments beside its functions
as entries, and of a few subjects. An entry of a module's page is a heading
with the name of a function, or several such, and what follows.
]]

local core = require "neap.repl.core"

local pages = {}

-- The names that a heading is about: `a.f(x), a.g() → y` is a.f and a.g.
local function names_of(heading)
  heading = heading:gsub("`", ""):gsub("→.*", ""):gsub("%->.*", "")
    :gsub("^async ", ""):gsub("%b()", ""):gsub("%b{}", ""):gsub("%b[]", "")
  local names = {}
  for name in heading:gmatch "[^,]+" do
    name = name:match "^%s*(.-)%s*$"
    if name:find "^[%a_][%w_]*[.:][%w_.:]*$" then names[#names + 1] = name end
  end
  return names
end

-- for level, title, line in lines_of(page): level is 0 if it is no heading.
local function lines_of(page)
  local fenced, next_line = false, (page .. "\n"):gmatch "(.-)\n"
  return function()
    local line = next_line()
    if not line then return nil end
    if line:find "^```" then fenced = not fenced end
    local marks, title = line:match "^(##?#?)%s+(.*)$"
    if fenced or not marks then return 0, nil, line end
    return #marks, title, line
  end
end

-- The page as a list of sections: {title=, text=, entries=}, each entry
-- {names=, headings=, text=}. The first section has what precedes the others.
local function parse(page)
  local section = {title = "", lines = {}, entries = {}}
  local sections, into = {section}, section
  for level, title, line in lines_of(page) do
    local names = level == 3 and names_of(title) or {}
    if level == 2 then
      section = {title = title, lines = {}, entries = {}}
      sections[#sections + 1], into = section, section
    elseif #names > 0 then
      -- Headings right below each other are about the same.
      if into == section or #into.lines > 0 then
        into = {names = {}, headings = {}, lines = {}}
        table.insert(section.entries, into)
      end
      table.move(names, 1, #names, #into.names + 1, into.names)
      table.insert(into.headings, (title:gsub("→", "->")))
    elseif level ~= 1 then
      table.insert(into.lines, line)
    end
  end
  return sections
end

local function join(lines)
  return (table.concat(lines, "\n"):gsub("^%s+", ""):gsub("%s+$", ""))
end

local function finish(sections)
  for _, section in ipairs(sections) do
    section.text, section.lines = join(section.lines), nil
    for _, entry in ipairs(section.entries) do
      entry.text, entry.lines = join(entry.lines), nil
    end
  end
  return sections
end

local parsed = {}

-- pages.sections(name) -> list of sections of that page, or nil
--
-- A section is {title=, text=, entries=}, an entry {names=, headings=,
-- text=}; the first section is what precedes the others.
function pages.sections(name)
  local text = not parsed[name] and core.page(name)
  if text then parsed[name] = finish(parse(text)) end
  return parsed[name]
end

-- for entry in all(): the entries of all pages
local function all()
  return coroutine.wrap(function()
    for _, name in ipairs(core.pages()) do
      for _, section in ipairs(pages.sections(name)) do
        for _, entry in ipairs(section.entries) do coroutine.yield(entry) end
      end
    end
  end)
end

-- pages.entry(name) -> the entry about `net.connect` or `stream:read`
function pages.entry(name)
  for entry in all() do
    for _, own in ipairs(entry.names) do
      if own == name then return entry end
    end
  end
end

-- pages.method(name) -> the entry about a method of any class, if there is
-- but one
function pages.method(name)
  local found
  for entry in all() do
    for _, own in ipairs(entry.names) do
      if own:match ":([%w_]+)$" == name then
        if found and found ~= entry then return nil end
        found = entry
      end
    end
  end
  return found
end

-- pages.methods(class) -> list of the names of entries like `class:name`
function pages.methods(class)
  local names = {}
  for entry in all() do
    for _, name in ipairs(entry.names) do
      if name:match "^([%w_]+):" == class then names[#names + 1] = name end
    end
  end
  return names
end

local function plain_prose(text)
  return text:gsub("%[([^%]]+)%]%([^)]*%)", "%1"):gsub("`([^`]*)`", "%1")
    :gsub("%*%*([^*]+)%*%*", "%1"):gsub("%*([%a][^*]*)%*", "%1")
end

-- pages.plain(text) -> Markdown as a terminal shows it; what is between
-- fences stays as it is
function pages.plain(text)
  local parts, fenced = {}, false
  for prose, fence in (text .. "\n```\n"):gmatch "(.-)(```%l*\n)" do
    parts[#parts + 1] = fenced and prose or plain_prose(prose)
    fenced = not fenced
  end
  return (table.concat(parts):gsub("\n\n\n+", "\n\n"):gsub("^\n+", "")
    :gsub("\n+$", ""))
end

return pages
