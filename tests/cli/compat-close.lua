-- To-be-closed variables; holds in lua5.4.

local compat = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/compat.lua")
local is, like, fails = compat.is, compat.like, compat.fails

local log = {}
local function closer(name, f)
  return setmetatable({name = name}, {__close = function(_, e)
    log[#log + 1] = name .. ":" .. tostring(e)
    if f then return f(e) end
  end})
end
local function logged()
  local text = table.concat(log, " ")
  log = {}
  return text
end

do
  local a <close> = closer "a"
  local b <close>, c <const> = closer "b", 5
  local n <close> = nil
  local f <close> = false
  is(c, 5)
end
is(logged(), "b:nil a:nil")

-- Leaving in every way.
for i = 1, 3 do
  local x <close> = closer("i" .. i)
  if i == 2 then break end
end
is(logged(), "i1:nil i2:nil")
do
  local i = 1
  while true do
    local x <close> = closer("w" .. i)
    i = i + 1
    if i > 2 then goto out end
  end
  ::out::
end
is(logged(), "w1:nil w2:nil")
for i = 1, 2 do
  local x <close> = closer("c" .. i)
  goto continue
  ::continue::
end
is(logged(), "c1:nil c2:nil")
local function returns()
  local x <close> = closer "x"
  return closer "not closed".name, 2, 3
end
is(select("#", returns()), 3)
is((returns()), "not closed")
is(logged(), "x:nil x:nil")
local function tail()
  local x <close> = closer "x"
  return logged()
end
is(tail(), "")
is(logged(), "x:nil")
local j = 0
repeat
  local x <close> = closer("r" .. j)
  j = j + 1
until x.name == "r1"
is(logged(), "r0:nil r1:nil")

-- The fourth value of a generic for.
for k in next, {1}, nil, closer "for" do end
is(logged(), "for:nil")
for k in next, {1, 2}, nil, closer "broken" do break end
is(logged(), "broken:nil")
pcall(function()
  for k in next, {1}, nil, closer "failed" do error("e", 0) end
end)
is(logged(), "failed:e")
local function looping()
  for k in next, {1}, nil, closer "ret" do return k end
end
is(looping(), 1)
is(logged(), "ret:nil")

-- Errors go from one handler to the next.
local ok, e = pcall(function()
  local a <close> = closer("a", function() error("ea", 0) end)
  local b <close> = closer "b"
  local c <close> = closer("c", function() error("ec", 0) end)
  error("first", 0)
end)
is(e, "ea")
is(logged(), "c:first b:ec a:ec")
ok, e = pcall(function()
  local a <close> = closer("a", function() error("ea", 0) end)
  return 1
end)
is(ok, false)
is(e, "ea")
is(logged(), "a:nil")
ok, e = pcall(function()
  local a <close> = closer("a", function(err) error(err .. "+", 0) end)
  local b <close> = closer("b", function(err) error(err .. "+", 0) end)
  error("x", 0)
end)
is(e, "x++")
logged()
ok, e = xpcall(function()
  local a <close> = closer("a", function() error("in close", 0) end)
  error("x", 0)
end, function(m) return "<" .. m .. ">" end)
is(e, "<in close>")
is(logged(), "a:<x>")

-- What is no closer.
fails("variable 'x' got a non-closable value", function()
  local x <close> = {}
end)
fails("variable 'y' got a non-closable value", function()
  local x <close> = closer "x"
  local y <close> = 34
end)
like(logged(), "^x:.*non%-closable value$")
fails("metamethod 'close'", function()
  local m = setmetatable({}, {__close = print})
  local x <close> = m
  getmetatable(m).__close = 5
end)

-- In coroutines, with yields in the handler.
local function yielding(name)
  return closer(name, function() coroutine.yield("from " .. name) end)
end
local co = coroutine.wrap(function()
  do
    local a <close> = yielding "a"
    local b <close> = yielding "b"
  end
  coroutine.yield "between"
  local c <close> = yielding "c"
  return 1, 2, 3
end)
is(co(), "from b")
is(co(), "from a")
is(co(), "between")
is(co(), "from c")
is(select("#", co()), 3)
logged()
co = coroutine.wrap(function()
  return pcall(function()
    local a <close> = yielding "a"
    local b <close> = yielding "b"
    error("err", 0)
  end)
end)
is(co(), "from b")
is(co(), "from a")
is(select(2, co()), "err")
is(logged(), "b:err a:err")
co = coroutine.wrap(function()
  for k in next, {1}, nil, yielding "gen" do
    coroutine.yield "in loop"
    break
  end
  return "end"
end)
is(co(), "in loop")
is(co(), "from gen")
is(co(), "end")
logged()

-- Frames of a handler.
do
  local function frame()
    local names = {}
    for level = 2, 4 do
      local i = debug.getinfo(level, "nl")
      names[#names + 1] = (i and i.name or "?")
    end
    return table.concat(names, " ")
  end
  local seen
  local function f()
    local x <close> = setmetatable({}, {__close = function()
      seen = frame()
    end})
    return 1
  end
  f()
  like(seen, "^close f ")
end

-- The stack inside a handler is deep enough, and overflow is closed too.
do
  local closed = 0
  local counter = setmetatable({}, {__close = function()
    closed = closed + 1
  end})
  local function overflow()
    local x <close> = counter
    return overflow() + 1
  end
  local fine, m = pcall(overflow)
  is(fine, false)
  like(m, "stack overflow")
  is(closed > 100, true)
end

-- Files and io.lines.
do
  local name = os.tmpname()
  local kept
  do
    local file <close> = assert(io.open(name, "w"))
    file:write "a\nb\n"
    kept = file
  end
  is(io.type(kept), "closed file")
  local _, _, _, handle = io.lines(name)
  is(io.type(handle), "file")
  for line in io.lines(name) do
    is(line, "a")
    break
  end
  handle:close()
  os.remove(name)
end

compat.finish()
