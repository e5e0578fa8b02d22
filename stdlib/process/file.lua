--[[
file.lua - the operations of a Stream for a standard stream that is a file.

neap.process.core reads what is next and writes a string; here is what
net.Stream makes of that, with the same names, results and errors.
]]

local core = require "neap.process.core"
local arguments = require "neap.arguments"
local asyncio = require "neap.asyncio"

local misuse = arguments.misuse

local File = core.File
local SOME, LINE = 128 << 10, 64 << 10

-- What was read and not yet given; whether a task reads; who writes.
local states = setmetatable({}, {__mode = "k"})

local function state_of(file)
  local state = states[file]
  if not state then
    state = {unread = "", lock = asyncio.Lock()}
    states[file] = state
  end
  return state
end

local function count(name, what, n, default, least)
  if n == nil then n = default end
  local integer = math.tointeger(n)
  if not integer or type(n) == "string" then
    misuse(name, ("%s must be an integer, not %s"):format(what,
      type(n) == "number" and tostring(n) or type(n)))
  elseif integer < least then
    misuse(name, ("%s must be at least %d, not %d"):format(what, least,
      integer))
  end
  return integer
end

-- Reads on until enough(unread) gives something, which it returns, or the
-- end; nothing is taken from what is unread.
local function read_until(file, name, enough)
  local state = state_of(file)
  if state.reading then misuse(name, "another task is reading") end
  state.reading = true
  local _ <close> = asyncio.defer(function() state.reading = false end)
  while true do
    local found = enough(state.unread)
    if found then return found, state end
    local bytes = await file:_read()
    if not bytes then return nil, state end
    state.unread = state.unread .. bytes
  end
end

local function take(state, n, skip)
  local bytes = state.unread:sub(1, n)
  state.unread = state.unread:sub(n + (skip or 0) + 1)
  return bytes
end

local function take_all(state)
  if state.unread ~= "" then return take(state, #state.unread) end
end

local function incomplete(file, name, state, expected)
  local text = "the stream ended before the separator"
  if expected then
    text = ("the stream ended after %d of %d bytes"):format(#state.unread,
      expected)
  end
  local e = asyncio.IncompleteReadError.new(
    ("%s %s: %s"):format(name, file:_name(), text))
  e.partial, e.expected = take(state, #state.unread), expected
  error(e, 0)
end

-- Where the separator is, as a function for read_until.
local function finder(file, name, separator, max)
  return function(unread)
    local from, to = unread:find(separator, 1, true)
    if (from or #unread - #separator + 2) - 1 > max then
      error(asyncio.LimitOverrunError.new(
        ("%s %s: no %s ends within %d bytes"):format(name, file:_name(),
          name == "read_line" and "line" or "part", max)), 0)
    end
    return to
  end
end

async function File:read(n)
  n = count("read", "n", n, SOME, 0)
  if n == 0 then return "" end
  local found, state = read_until(self, "read", function(unread)
    return unread ~= "" or nil
  end)
  if found then return take(state, n) end
end

async function File:read_exactly(n)
  n = count("read_exactly", "n", n, nil, 0)
  local found, state = read_until(self, "read_exactly", function(unread)
    return #unread >= n or nil
  end)
  if not found then incomplete(self, "read_exactly", state, n) end
  return take(state, n)
end

local function read_line(file, max)
  max = count("read_line", "max", max, LINE, 1)
  local to, state = read_until(file, "read_line",
    finder(file, "read_line", "\n", max))
  if to then return take(state, to - 1, 1) end
  return take_all(state)
end

async function File:read_line(max) return read_line(self, max) end

async function File:read_until(separator, max)
  if type(separator) ~= "string" then
    misuse("read_until", "separator must be a string, not "
      .. type(separator))
  elseif separator == "" then
    misuse("read_until", "separator is empty")
  end
  max = count("read_until", "max", max, LINE, 1)
  local to, state = read_until(self, "read_until",
    finder(self, "read_until", separator, max))
  if to then return take(state, to) end
  if state.unread ~= "" then incomplete(self, "read_until", state) end
end

async function File:read_all()
  local parts = {}
  local _, state = read_until(self, "read_all", function() end)
  parts[1] = take_all(state)
  return parts[1] or ""
end

function File:lines(max)
  return function() return read_line(self, max) end
end

async function File:write(...)
  local parts = {...}
  for i = 1, select("#", ...) do
    if type(parts[i]) ~= "string" and type(parts[i]) ~= "number" then
      misuse("write", ("argument %d must be a string, not %s")
        :format(i, type(parts[i])))
    end
  end
  local _ <close> = await state_of(self).lock:acquire()
  await self:_write(table.concat(parts))
end

async function File:shutdown() self:close() end

return File
