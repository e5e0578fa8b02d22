--[[
show.lua - require "neap.repl.show": values as text that a person can read.

Nested tables are indented when they do not fit on a line; keys are sorted;
what contains itself, lies deep or is long is shortened.
]]

local asyncio = require "neap.asyncio"

local MOST_DEPTH, MOST_ITEMS, MOST_STRING = 6, 100, 2000
local MOST_NODES = 5000
local MOST_SHORT = 16 -- columns of an item that may share its line

local plain = setmetatable({}, {__index = function() return "" end})
local colours = {
  string = "\27[32m", number = "\27[33m", boolean = "\27[35m",
  ["nil"] = "\27[90m", other = "\27[36m", key = "\27[34m",
  error = "\27[31m", off = "\27[0m", prompt = "\27[1m", dim = "\27[90m",
}

local escapes = {
  ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ["\\"] = "\\\\",
  ['"'] = '\\"', ["\0"] = "\\0", ["\27"] = "\\27",
}

local function escape_byte(c) return ("\\x%02X"):format(c:byte()) end

-- Escapes the bytes that are no UTF-8.
local function escape_broken(text)
  local parts, at = {}, 1
  while at <= #text do
    local _, broken = utf8.len(text, at)
    if not broken then break end
    parts[#parts + 1] = text:sub(at, broken - 1)
    parts[#parts + 1] = escape_byte(text:sub(broken, broken))
    at = broken + 1
  end
  return table.concat(parts) .. text:sub(at)
end

local function quote(text)
  local short = text
  if #text > MOST_STRING then
    -- Not in the middle of a character.
    short = text:sub(1, MOST_STRING):gsub("[\xC0-\xFF][\x80-\xBF]*$", "")
  end
  short = short:gsub('[%c\\"\127]', function(c)
    return escapes[c] or escape_byte(c)
  end)
  short = '"' .. escape_broken(short) .. '"'
  if #text > MOST_STRING then
    short = ("%s... (%d bytes)"):format(short, #text)
  end
  return short
end

-- == Functions, errors, threads =========================================

-- "string.rep", if a library has the function.
local function name_of(f)
  for module, t in next, package.loaded do
    if type(t) == "table" and type(module) == "string" then
      for name, value in next, t do
        if rawequal(value, f) and type(name) == "string"
           and not name:find "^_" then
          module = module:gsub("^neap%.", "")
          return module == "_G" and name or module .. "." .. name
        end
      end
    end
  end
end

local function parameters(f, info)
  local names = {}
  for i = 1, info.nparams do names[i] = debug.getlocal(f, i) end
  if info.isvararg then names[#names + 1] = "..." end
  return table.concat(names, ", ")
end

-- "function(a, b) at app.lua:12"; an async function is a closure in C that
-- has its body.
local function function_text(f)
  local kind, info = "function", debug.getinfo(f, "Su")
  local _, body = debug.getupvalue(f, 1)
  local whole = f
  if info.what == "C" and type(body) == "function" then
    kind, f, info = "async function", body, debug.getinfo(body, "Su")
  end
  if info.what == "C" or info.source:find "^=stdlib/"
     or info.source == "=(neap)" then
    local name = name_of(whole)
    if name then return kind .. " " .. name end
  end
  if info.what == "C" then return tostring(whole) end
  return ("%s(%s) at %s:%d"):format(kind, parameters(f, info),
                                    info.short_src, info.linedefined)
end

local function error_text(e)
  local code = rawget(e, "code")
  return ("%s%s: %s"):format(e.name, type(code) == "string" and
    (" (%s)"):format(code) or "", tostring(e))
end

local function plain_text(value)
  if asyncio.iserror(value) then return error_text(value) end
  if type(value) == "function" then return function_text(value) end
  local text = tostring(value)
  if type(value) ~= "thread" then return text end
  return ("%s (%s)"):format(text, coroutine.status(value))
end

-- tostring may call the script's code, which may fail.
local function text_of(value)
  local ok, text = pcall(plain_text, value)
  if ok and type(text) == "string" then return text end
  return ("<%s whose __tostring fails>"):format(type(value))
end

-- == What a table holds =================================================

local ranks = {number = 1, string = 2, boolean = 3}

local function comes_before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then
    local ra, rb = ranks[ta] or 4, ranks[tb] or 4
    if ra ~= rb then return ra < rb end
    return ta < tb
  end
  if ta == "number" or ta == "string" then return a < b end
  return text_of(a) < text_of(b)
end

-- Modules and objects of a class have fields that are not for others.
local function has_private(t)
  local meta = getmetatable(t)
  if type(meta) == "table" and rawget(meta, "__name") then return true end
  for _, module in next, package.loaded do
    if rawequal(module, t) then return not rawequal(t, _G) end
  end
  return false
end

-- The length of the list part, and the other keys, sorted; and how many
-- keys were too many to be sorted or are private.
local function keys_of(t)
  local n, keys, more = 0, {}, 0
  local private = has_private(t)
  while rawget(t, n + 1) ~= nil do n = n + 1 end
  for key in next, t do
    if private and type(key) == "string" and key:find "^_%a" then
      more = more + 1
    elseif math.type(key) ~= "integer" or key < 1 or key > n then
      if #keys < 10000 then keys[#keys + 1] = key else more = more + 1 end
    end
  end
  table.sort(keys, comes_before)
  return n, keys, more
end

local reserved = {}
for word in ([[and break do else elseif end false for function goto if in
  local nil not or repeat return then true until while]]):gmatch "%l+" do
  reserved[word] = true
end

-- == A value as a tree of pieces ========================================

-- A piece is a string, or {open, close, items...}; `width` is how many
-- columns it takes on one line.

local Shower = {}

function Shower:paint(kind, text)
  return self.colours[kind] .. text .. self.colours.off, utf8.len(text) or #text
end

function Shower:simple(value)
  local kind = type(value)
  if kind == "string" then return self:paint("string", quote(value)) end
  if not ranks[kind] and value ~= nil then kind = "other" end
  return self:paint(kind, text_of(value))
end

function Shower:key(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$"
     and not reserved[key] then
    return self:paint("key", key)
  end
  local text, width = self:simple(key)
  return "[" .. text .. "]", width + 2
end

local function has_own_text(t)
  local meta = getmetatable(t)
  return type(meta) == "table" and rawget(meta, "__tostring") ~= nil
end

-- "TimeoutError" of a class of errors.
local function error_class(t)
  local name = rawget(t, "name")
  return rawget(t, "__index") == t and rawget(t, "new") ~= nil
    and type(name) == "string" and name
end

function Shower:items(t, depth)
  local piece, meta = {width = 2}, getmetatable(t)
  -- Parts that are loaded when they are asked for.
  if type(meta) == "table" and rawget(meta, "__pairs") then pcall(pairs, t) end
  local n, keys, more = keys_of(t)
  local count = 0
  local function put(name, name_width, value)
    count = count + 1
    local inner, width = self:piece(value, depth + 1)
    piece[#piece + 1] = {name = name, name_width = name_width, value = inner,
                         width = ranks[type(value)] and width}
    piece.width = piece.width + name_width + width + 2
  end
  for i = 1, math.min(n, MOST_ITEMS) do put("", 0, rawget(t, i)) end
  for _, key in ipairs(keys) do
    if count >= MOST_ITEMS then break end
    local name, width = self:key(key)
    put(name .. " = ", width + 3, rawget(t, key))
  end
  local left = n + #keys + more - count
  if left > 0 then
    local text, width = self:paint("dim", ("... %d more"):format(left))
    piece[#piece + 1] = {name = "", value = text}
    piece.width = piece.width + width
  end
  return piece
end

-- The piece of a value, and its width on one line.
function Shower:piece(value, depth)
  self.nodes = self.nodes + 1
  if type(value) ~= "table" or has_own_text(value) then
    return self:simple(value)
  end
  local class = error_class(value)
  if class then return self:paint("other", "class " .. class) end
  if self.open[value] then return self:paint("dim", "<cycle>") end
  local meta = getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  name = type(name) == "string" and name .. " " or ""
  if next(value) == nil then return self:paint("other", name .. "{}") end
  if depth >= MOST_DEPTH or self.nodes > MOST_NODES then
    return self:paint("dim", name .. "{...}")
  end
  self.open[value] = true
  local piece = self:items(value, depth)
  self.open[value] = nil
  piece.head = name
  piece.width = piece.width + #name
  return piece, piece.width
end

-- Whether an item of a list is plain and so short that several stand in a line.
local function is_short(item)
  return item.name == "" and (item.width or MOST_SHORT) < MOST_SHORT
end

-- Appends the items, each on a line of its own but for short ones.
function Shower:write_lines(piece, left)
  local out, column = self.out, nil
  for i, item in ipairs(piece) do
    local short = is_short(item)
    if short and column and column + item.width + 2 <= self.width then
      out[#out + 1] = " "
      column = column + item.width + 2
    else
      out[#out + 1] = "\n" .. (" "):rep(left)
      column = short and left + item.width + 1 or nil
    end
    out[#out + 1] = item.name
    self:write(item.value, left, item.name_width or 0)
    if i < #piece then out[#out + 1] = "," end
  end
end

-- Appends a piece; `left` is the indentation, `used` what stands before it.
function Shower:write(piece, left, used)
  local out = self.out
  if type(piece) == "string" then
    out[#out + 1] = piece
    return
  end
  out[#out + 1] = piece.head .. "{"
  if left + used + piece.width <= self.width then
    for i, item in ipairs(piece) do
      out[#out + 1] = (i > 1 and ", " or "") .. item.name
      self:write(item.value, 0, -math.huge)
    end
  else
    self:write_lines(piece, left + 2)
    out[#out + 1] = "\n" .. (" "):rep(left)
  end
  out[#out + 1] = "}"
end

local show = {}

--- repl.format(value [, {width = 80, colour = false}]) -> string
--
-- The value as the prompt shows it, without a newline at its end.
function show.value(value, options)
  local self = {
    colours = options and options.colour and colours or plain,
    width = options and options.width or 80,
    out = {}, open = {}, nodes = 0,
  }
  for name, f in pairs(Shower) do self[name] = f end
  local piece = self:piece(value, 0)
  self:write(piece, 0, 0)
  return table.concat(self.out)
end

-- show.values(list, options) -> text
--
-- Several values, list.n of them, as print puts them; one to a line if one
-- of them takes more than a line.
function show.values(list, options)
  local texts, tall = {}, false
  for i = 1, list.n do
    texts[i] = show.value(list[i], options)
    tall = tall or texts[i]:find "\n" ~= nil
  end
  return table.concat(texts, tall and "\n" or "\t")
end

-- show.paint(kind, text, on) -> text in the colour of that kind, if on
function show.paint(kind, text, on)
  if not on then return text end
  return colours[kind] .. text .. colours.off
end

return show
