--[[
file.lua - the operations of a Stream for a standard stream that is a file.

neap.process.core reads what is next and writes a string; here is what
net.Stream makes of that, with the same names, results and errors.
]]

local core = require "neap.process.core"
local arguments = require "neap.arguments"
local asyncio = require "neap.asyncio"
local net = require "neap.net"

local misuse, typename = arguments.misuse, arguments.typename

local File = core.File
local SOME, LINE = 128 << 10, 64 << 10
local LEAST, MOST = 64 << 10, 32 << 20 -- what is read at once

-- What was read, and where in it begins what was not yet given; whether a
-- task reads; who writes.
local states = setmetatable({}, {__mode = "k"})

local function state_of(file)
  local state = states[file]
  if not state then
    state = {text = "", at = 1, lock = asyncio.Lock()}
    states[file] = state
  end
  return state
end

local function count(name, what, n, default, least)
  if n == nil then n = default end
  local integer = math.tointeger(n)
  if not integer or type(n) == "string" then
    misuse(name, ("%s must be an integer, not %s"):format(what,
      type(n) == "number" and tostring(n) or typename(n)))
  elseif integer < least then
    misuse(name, ("%s must be at least %d, not %d"):format(what, least,
      integer))
  end
  return integer
end

local function unread(state) return #state.text - state.at + 1 end

-- Reads on until enough(state) gives something, which it returns, or the
-- end; nothing is taken from what is unread. As much is read as is there
-- already, so that it is not copied again and again.
local function read_until(file, name, enough)
  local state = state_of(file)
  if state.reading then misuse(name, "another task is reading") end
  state.reading = true
  local _ <close> = asyncio.defer(function() state.reading = false end)
  while true do
    local found = enough(state)
    if found then return found, state end
    local size = math.max(LEAST, math.min(unread(state), MOST))
    local bytes = await file:_read(size)
    if not bytes then return nil, state end
    state.text = state.text:sub(state.at) .. bytes
    state.at = 1
  end
end

-- The next n bytes; passes over `skip` more.
local function take(state, n, skip)
  local bytes = state.text:sub(state.at, state.at + n - 1)
  state.at = state.at + n + (skip or 0)
  if state.at > #state.text then state.text, state.at = "", 1 end
  return bytes
end

local function take_all(state)
  if unread(state) > 0 then return take(state, unread(state)) end
end

local function incomplete(file, name, state, expected)
  local text = "the stream ended before the separator"
  if expected then
    text = ("the stream ended after %d of %d bytes"):format(unread(state),
      expected)
  end
  local e = asyncio.IncompleteReadError.new(
    ("%s %s: %s"):format(name, file:_name(), text))
  e.partial, e.expected = take(state, unread(state)), expected
  error(e, 0)
end

-- How many bytes there are with the separator, as a function for read_until.
local function finder(file, name, separator, max)
  return function(state)
    local from, to = state.text:find(separator, state.at, true)
    if (from or #state.text - #separator + 2) - state.at > max then
      error(asyncio.LimitOverrunError.new(
        ("%s %s: no %s ends within %d bytes"):format(name, file:_name(),
          name == "read_line" and "line" or "part", max)), 0)
    end
    return to and to - state.at + 1
  end
end

local function something(state) return unread(state) > 0 end

async function File:read(n)
  n = count("read", "n", n, SOME, 0)
  if n == 0 then return "" end
  local found, state = read_until(self, "read", something)
  if found then return take(state, math.min(n, unread(state))) end
end

async function File:read_into(buffer, n)
  local size = net._buffer_size(buffer)
  if not size then
    misuse("read_into", "buffer must be a Buffer, not " .. typename(buffer))
  end
  n = count("read_into", "n", n, size, 0)
  if n > size then
    misuse("read_into", ("n is %d, and the buffer has room for %d")
      :format(n, size))
  end
  buffer:set ""
  local found, state
  if n > 0 then found, state = read_until(self, "read_into", something) end
  if found then
    buffer:set(state.text:sub(state.at, state.at + n - 1))
    take(state, #buffer)
  end
  return (found or n == 0) and #buffer or nil
end

async function File:read_exactly(n)
  n = count("read_exactly", "n", n, nil, 0)
  local found, state = read_until(self, "read_exactly", function(state)
    return unread(state) >= n
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
      .. typename(separator))
  elseif separator == "" then
    misuse("read_until", "separator is empty")
  end
  max = count("read_until", "max", max, LINE, 1)
  local to, state = read_until(self, "read_until",
    finder(self, "read_until", separator, max))
  if to then return take(state, to) end
  if unread(state) > 0 then incomplete(self, "read_until", state) end
end

async function File:read_all()
  local _, state = read_until(self, "read_all", function() end)
  return take_all(state) or ""
end

function File:lines(max)
  return function() return read_line(self, max) end
end

async function File:write(...)
  local parts = {...}
  for i = 1, select("#", ...) do
    if net._buffer_size(parts[i]) then
      parts[i] = tostring(parts[i])
    elseif type(parts[i]) ~= "string" and type(parts[i]) ~= "number" then
      misuse("write", ("argument %d must be a string or a Buffer, not %s")
        :format(i, typename(parts[i])))
    end
  end
  local _ <close> = await state_of(self).lock:acquire()
  await self:_write(table.concat(parts))
end

async function File:shutdown() self:close() end

return File
