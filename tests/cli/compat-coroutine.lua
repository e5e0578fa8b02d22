-- Coroutines as a plain Lua program sees them; holds in lua5.4.

local compat = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/compat.lua")
local is, like, fails = compat.is, compat.like, compat.fails

-- The main chunk is the main coroutine.
local main, ismain = coroutine.running()
is(type(main), "thread")
is(ismain, true)
is(coroutine.running(), main)
is(coroutine.isyieldable(), false)
is(coroutine.isyieldable(main), false)
is(coroutine.status(main), "running")
local ok, message = coroutine.resume(main)
is(ok, false)
is(message, "cannot resume non-suspended coroutine")
fails("attempt to yield from outside a coroutine", coroutine.yield)
is(select(2, pcall(function() coroutine.yield(1, 2) end)),
  "attempt to yield from outside a coroutine")
fails("cannot close a running coroutine", coroutine.close, main)
is(select("#", coroutine.running()), 2)
is(main == coroutine.running(), true)

-- Seen from within another one.
local co = coroutine.create(function()
  is(coroutine.status(main), "normal")
  is(coroutine.isyieldable(), true)
  local self, of_main = coroutine.running()
  is(of_main, false)
  is(coroutine.status(self), "running")
  local resumed, why = coroutine.resume(main)
  is(resumed, false)
  is(why, "cannot resume non-suspended coroutine")
  fails("cannot close a normal coroutine", coroutine.close, main)
  fails("cannot close a running coroutine", coroutine.close, self)
  return "end"
end)
is(coroutine.isyieldable(co), true)
is(coroutine.status(co), "suspended")
is(select(2, coroutine.resume(co)), "end")
is(coroutine.status(co), "dead")
is(select(2, coroutine.resume(co)), "cannot resume dead coroutine")

-- Values go both ways.
local function pack(...)
  local list = {select("#", ...), ...}
  for i = 1, select("#", ...) + 1 do list[i] = tostring(list[i]) end
  return table.concat(list, ",")
end
local function echo(...)
  local values = table.pack(...)
  while true do
    values = table.pack(coroutine.yield(table.unpack(values, 1, values.n)))
  end
end
co = coroutine.create(echo)
is(pack(coroutine.resume(co, 1, 2, 3)), "4,true,1,2,3")
is(select("#", coroutine.resume(co)), 1)
is(select("#", coroutine.resume(co, nil, nil)), 3)
local wrapped = coroutine.wrap(echo)
is(pack(wrapped(1, 2)), "2,1,2")
is(pack(wrapped()), "0")
is(pack(wrapped "x"), "1,x")

-- Generators and for.
local function range(n)
  return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end)
end
local sum = 0
for i in range(100) do sum = sum + i end
is(sum, 5050)
local function filter(p, g)
  return coroutine.wrap(function()
    for n in g do if n % p ~= 0 then coroutine.yield(n) end end
  end)
end
local sieve = coroutine.wrap(function()
  for n = 2, 100 do coroutine.yield(n) end
end)
local primes = {}
while true do
  local n = sieve()
  if n == nil then break end
  primes[#primes + 1] = n
  sieve = filter(n, sieve)
end
is(#primes, 25)

-- Yield across pcall, xpcall, metamethods, iterators, table.sort's absence.
co = coroutine.wrap(function(...)
  local a = {pcall(pcall, pcall, pcall, coroutine.yield, ...)}
  is(#a, 6)
  is(a[6], "y")
  local caught = {pcall(function()
    coroutine.yield "in pcall"
    error "after"
  end)}
  like(caught[2], "after$")
  local handled = {xpcall(function()
    coroutine.yield "in xpcall"
    error("x", 0)
  end, function(m) return m .. m end)}
  is(handled[2], "xx")
  return "done"
end)
is(co "x", "x")
is(co("x", "y"), "in pcall")
is(co(), "in xpcall")
is(co(), "done")

local mt = {}
for _, event in ipairs{"add", "sub", "mul", "div", "mod", "pow", "unm", "idiv",
  "band", "bor", "bxor", "shl", "shr", "bnot", "concat", "len", "eq", "lt",
  "le", "index", "call"} do
  mt["__" .. event] = function(a, b)
    return coroutine.yield(event, a, b)
  end
end
mt.__newindex = function(t, k, v) rawset(t, k, coroutine.yield("set", k, v)) end
mt.__close = function() coroutine.yield "close" end
local function new() return setmetatable({}, mt) end
local function steps(f, ...)
  local g, list, value = coroutine.wrap(f), {}, nil
  local event = g(...)
  while event do
    list[#list + 1] = event
    event = g(10)
  end
  return table.concat(list, " ")
end
is(steps(function()
  local a, b = new(), new()
  is(a + b, 10) is(a - 1, 10) is(1 * b, 10) is(a / b, 10) is(a % 2, 10)
  is(a ^ b, 10) is(-a, 10) is(a // 3, 10) is(a & 1, 10) is(a | b, 10)
  is(a ~ b, 10) is(a << 1, 10) is(a >> 1, 10) is(~a, 10) is(a .. "x", 10)
  is("x" .. "y" .. a, "x10") is(#a, 10) is(a == b, true) is(a < b, true)
  is(a <= b, true) is(a.x, 10) is(a(1), 10) is(a ~= b, false)
  a.y = 5
  is(rawget(a, "y"), 10)
  do local c <close> = new() end
end), "add sub mul div mod pow unm idiv band bor bxor shl shr bnot concat "
  .. "concat len eq lt le index call eq set close")
is(steps(function()
  for k in function(_, k)
    k = coroutine.yield "next"
    if k == 10 then return nil end
  end do end
end), "next")
is(steps(function()
  for k, v in pairs(setmetatable({}, {__pairs = function(t)
    coroutine.yield "pairs"
    return next, {1}
  end})) do coroutine.yield "body" end
end), "pairs body")

-- Where C code cannot be suspended.
local function across(f)
  local resumed, why = coroutine.resume(coroutine.create(f))
  is(resumed, false)
  like(why, "attempt to yield across a C%-call boundary$")
end
across(function() table.sort({1, 2, 3}, coroutine.yield) end)
across(function() string.gsub("a", "a", coroutine.yield) end)
across(function() assert(load(coroutine.yield)) end)
across(function()
  tostring(setmetatable({}, {__tostring = coroutine.yield}))
end)

-- require, dofile and table functions with metamethods.
is(steps(function()
  table.unpack(new(), 1, 0)
end), "")

-- Errors in coroutines.
co = coroutine.create(function() error {code = 5} end)
local _, e = coroutine.resume(co)
is(e.code, 5)
is(coroutine.status(co), "dead")
co = coroutine.wrap(function() error("x", 0) end)
fails("x", co)
fails("cannot resume dead coroutine", co)
co = coroutine.wrap(function() error "text" end)
local _, text = pcall(function() local x = co() end)
like(text, "compat%-coroutine%.lua:%d+: .*compat%-coroutine%.lua:%d+: text$")

-- Closing.
do
  local log = {}
  local function closer(name, f)
    return setmetatable({}, {__close = function(_, err)
      log[#log + 1] = name .. ":" .. tostring(err)
      if f then f(err) end
    end})
  end
  co = coroutine.create(function()
    local a <close> = closer "a"
    local b <close> = closer("b", function() error("eb", 0) end)
    local c <close> = closer "c"
    coroutine.yield()
  end)
  coroutine.resume(co)
  is(coroutine.status(co), "suspended")
  local closed, why = coroutine.close(co)
  is(closed, false)
  is(why, "eb")
  is(table.concat(log, " "), "c:nil b:nil a:eb")
  is(coroutine.status(co), "dead")
  is(coroutine.close(co), true)
  is(coroutine.close(coroutine.create(print)), true)
  co = coroutine.create(error)
  coroutine.resume(co, "e")
  is(select(2, coroutine.close(co)), "e")
  co = coroutine.create(error)
  coroutine.resume(co, nil)
  is(coroutine.close(co), false)
  is(coroutine.close(co), true)
  is(coroutine.close(co), true)
  log = {}
  co = coroutine.wrap(function()
    local a <close> = closer "a"
    error("in wrap", 0)
  end)
  fails("in wrap", co)
  is(table.concat(log, " "), "a:in wrap")
  -- A handler that yields while it closes after an error.
  log = {}
  co = coroutine.wrap(function()
    return pcall(function()
      local x <close> = closer("x", function() coroutine.yield "yx" end)
      local y <close> = closer("y", function() coroutine.yield "yy" end)
      error("E", 0)
    end)
  end)
  is(co(), "yy")
  is(co(), "yx")
  local r1, r2 = co()
  is(r1, false)
  is(r2, "E")
  is(table.concat(log, " "), "y:E x:E")
end

-- A coroutine cannot be resumed by itself or by what it resumed.
do
  local a, b
  a = coroutine.create(function()
    is(select(2, coroutine.resume(a)), "cannot resume non-suspended coroutine")
    return coroutine.resume(b)
  end)
  b = coroutine.create(function()
    is(coroutine.status(a), "normal")
    return coroutine.resume(a)
  end)
  local _, _, inner, why = coroutine.resume(a)
  is(inner, false)
  is(why, "cannot resume non-suspended coroutine")
  local g
  g = coroutine.wrap(function() return pcall(g) end)
  local good, text2 = g()
  is(good, false)
  like(text2, "cannot resume non%-suspended coroutine$")
end

-- Nesting too deep is an error, not a crash.
do
  local function deep(n)
    if n == 0 then return 0 end
    return coroutine.wrap(deep)(n - 1)
  end
  is(deep(100), 0)
  local good, text3 = pcall(deep, 100000)
  is(good, false)
  like(text3, "C stack overflow")
  local count = 0
  local function endless()
    count = count + 1
    return coroutine.wrap(endless)()
  end
  good, text3 = pcall(endless)
  is(good, false)
  like(text3, "C stack overflow")
  is(count > 150 and count < 250, true)
end

-- Wrong arguments.
for name, kind in pairs{create = "function", wrap = "function",
  resume = "thread", status = "thread", close = "thread",
  isyieldable = "thread"} do
  fails(("bad argument #1 to '%s' (%s expected, got number)"):format(name,
    kind), load(("local r = coroutine.%s(1)"):format(name)))
  fails(("bad argument #1 to 'coroutine.%s' (%s expected, got table)"):format(
    name, kind), coroutine[name], {})
end
is(coroutine.resume(coroutine.create(coroutine.running)), true)
is(select(3, coroutine.resume(coroutine.create(coroutine.running))), false)

-- Collected while suspended, with what they hold.
do
  local weak = setmetatable({}, {__mode = "v"})
  do
    local c = coroutine.wrap(function()
      local t = {}
      weak[1] = t
      coroutine.yield()
      return t
    end)
    c()
  end
  collectgarbage()
  collectgarbage()
  is(weak[1], nil)
end

-- Tracebacks and frames of other coroutines.
co = coroutine.create(function(x)
  local a = 10
  coroutine.yield(debug.getinfo(1, "l").currentline)
end)
local _, line = coroutine.resume(co, 3)
is(debug.traceback(co), "stack traceback:\n"
  .. "\t[C]: in function 'coroutine.yield'\n\t"
  .. debug.getinfo(1, "S").short_src .. ":" .. line .. ": in function <"
  .. debug.getinfo(1, "S").short_src .. ":" .. line - 2 .. ">")
is(debug.traceback(co, "m", 1):match "^m\nstack traceback:\n\t[^%[]" ~= nil,
  true)
is(debug.traceback(co, nil), debug.traceback(co))
is(debug.getinfo(co, 1, "l").currentline, line)
is(debug.getinfo(co, 0, "n").name, "yield")
is(debug.getinfo(co, 2), nil)
is(debug.getlocal(co, 1, 1), "x")
is(select(2, debug.getlocal(co, 1, 2)), 10)
is(debug.setlocal(co, 1, 2, 20), "a")
is(select(2, debug.getlocal(co, 1, 2)), 20)

-- More values than the other stack has room for.
do
  local many = table.pack(table.unpack({}, 1, 600000))
  local function unpacked() return table.unpack(many, 1, many.n) end
  local function pause(...)
    coroutine.yield()
    return ...
  end
  co = coroutine.create(function() return (pause(unpacked())) end)
  is(coroutine.resume(co), true)
  is(select(2, coroutine.resume(co, unpacked())),
    "too many arguments to resume")
  is(coroutine.status(co), "suspended")
  co = coroutine.create(unpacked)
  local function resume_below(...) return coroutine.resume(co) end
  is(select(2, resume_below(unpacked())), "too many results to resume")
end

-- Variables of a coroutine that is closed while it is in a pcall.
do
  local function closer(message)
    return setmetatable({}, {__close = function(_, e)
      error(message .. tostring(e), 0)
    end})
  end
  local inside = coroutine.create(function()
    local a <close> = closer "a"
    local b <close> = closer "b"
    pcall(function()
      local c <close> = closer "c"
      coroutine.yield()
    end)
  end)
  coroutine.resume(inside)
  local closed, message = coroutine.close(inside)
  is(closed, false)
  is(message, "abcnil")
end

compat.finish()
