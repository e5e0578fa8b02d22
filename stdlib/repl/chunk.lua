--[[
chunk.lua - require "neap.repl.chunk": from what was typed to a function.

An expression is run as `return EXPRESSION`. What a line declares with
`local` at its top level is, at its end, also set in the environment, so that
the next line finds it: the text for that is appended, and lines never move.
]]

local chunk = {}

-- == Tokens =============================================================

-- Skips blanks and comments from `at` on.
local function skip(text, at)
  while true do
    local _, blank = text:find("^%s+", at)
    if blank then at = blank + 1 end
    if text:sub(at, at + 1) ~= "--" then return at end
    local level = text:match("^%-%-%[(=*)%[", at)
    local _, stop
    if level then
      _, stop = text:find("]" .. level .. "]", at, true)
    else
      _, stop = text:find("^[^\n]*", at)
    end
    if not stop then return #text + 1 end
    at = stop + 1
  end
end

local function string_end(text, at)
  local mark = text:sub(at, at)
  local i = at + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == "\\" then i = i + 1 elseif c == mark then return i end
    i = i + 1
  end
  return #text
end

-- for kind, token, first, last in tokens(text): names and words are "name".
local function tokens(text)
  local at = 1
  return function()
    at = skip(text, at)
    if at > #text then return nil end
    local first = at
    local kind, last, _ = "symbol", at, nil
    local level = text:match("^%[(=*)%[", at)
    local c = text:sub(at, at)
    if level then
      _, last = text:find("]" .. level .. "]", at, true)
      kind = "string"
    elseif c == '"' or c == "'" then
      kind, last = "string", string_end(text, at)
    elseif c:find "[%a_]" then
      kind = "name"
      _, last = text:find("^[%w_]+", at)
    elseif c:find "%d" then
      kind = "number"
      _, last = text:find("^0[xX][%x.]*[pP]?[+-]?%x*", at)
      if not last then
        _, last = text:find("^[%d.]+[eE]?[+-]?%d*", at)
      end
    end
    last = last or #text
    at = last + 1
    return kind, text:sub(first, last), first, last
  end
end

-- == Locals =============================================================

local opens = {["function"] = 1, ["do"] = 1, ["if"] = 1, ["repeat"] = 1,
               ["end"] = -1, ["until"] = -1,
               ["("] = 1, ["{"] = 1, ["["] = 1,
               [")"] = -1, ["}"] = -1, ["]"] = -1}

-- The names that a text declares at its top level, and where its last
-- statement begins if that is a return. Variables to be closed are not among
-- them: they are closed when the line ends.
local function locals_of(text)
  local names, seen, depth = {}, {}, 0
  local result
  local list -- of a statement `local a <const>, b` that is being read
  local state
  local function add(name)
    if not seen[name] and name ~= "_ENV" then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  local function finish()
    for _, name in ipairs(list or {}) do add(name) end
    list, state = nil, nil
  end
  for kind, token, first in tokens(text) do
    if state == "local" and token == "function" then
      state, depth = "function", depth + 1
    elseif state == "local" and token == "async"
           and text:find("^async[ \t]+function", first) then
      state = "local"
    elseif state == "function" then
      add(token)
      state = nil
    elseif state == "local" or state == "comma" then
      list = list or {}
      list[#list + 1] = token
      state = "named"
    elseif state == "named" and token == "<" then
      state = "attribute"
    elseif state == "attribute" then
      if token == "close" then list[#list] = nil end
      if token == ">" then state = "named" end
    elseif state == "named" and token == "," then
      state = "comma"
    else
      if state == "named" then finish() end
      if depth == 0 and kind == "name" then
        if token == "local" then state = "local" end
        if token == "return" then result = first end
      end
      depth = depth + (kind ~= "string" and opens[token] or 0)
    end
  end
  finish()
  return names, result
end

-- The text with what keeps its locals, or nil if there are none.
local function with_locals(text)
  local names, result = locals_of(text)
  if #names == 0 then return nil end
  local fields = {}
  for i, name in ipairs(names) do fields[i] = "_ENV." .. name end
  local keep = (";%s=%s "):format(table.concat(fields, ","),
                                  table.concat(names, ","))
  if result then
    return text:sub(1, result - 1) .. keep .. text:sub(result)
  end
  return text .. "\n" .. keep
end

-- == Loading ============================================================

local function is_incomplete(message)
  return type(message) == "string" and message:find "<eof>$" ~= nil
end

-- The line is over: more of it cannot end a string that it has begun.
local function load_lines(text, env)
  return load(text .. "\n", "=stdin", "t", env)
end

-- chunk.load(text, env) -> function, whether it is an expression
--
-- If the text is no chunk: nil, and either the message or, when more lines
-- could make it one, nothing.
function chunk.load(text, env)
  local expression = text:match "^=(.*)" or text
  local f = load_lines("return " .. expression, env)
  if f then return f, true end
  local message
  f, message = load_lines(text, env)
  if not f then
    if text:find "^=" then
      f, message = load_lines("return " .. expression, env)
    end
    if is_incomplete(message) then return nil end
    return nil, message
  end
  local kept = with_locals(text)
  return kept and load(kept, "=stdin", "t", env) or f, false
end

return chunk
