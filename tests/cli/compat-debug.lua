-- The debug library from the main chunk; holds in lua5.4.

local compat = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/compat.lua")
local is, like, fails = compat.is, compat.like, compat.fails
local here = debug.getinfo(1, "S").short_src

-- The main chunk, and the C that called it.
local info = debug.getinfo(1)
is(info.what, "main")
is(info.currentline, debug.getinfo(1, "l").currentline - 2)
is(info.name, nil)
is(info.namewhat, "")
is(info.isvararg, true)
is(info.nparams, 0)
is(info.linedefined, 0)
is(info.istailcall, false)
is(info.nups, 1)
is(type(info.func), "function")
is(debug.getupvalue(info.func, 1), "_ENV")
is(select(2, debug.getupvalue(info.func, 1)), _G)
is(debug.getupvalue(info.func, 2), nil)
local host = debug.getinfo(2)
is(host and host.what, "C")
is(host and host.currentline, -1)
is(host and host.short_src, "[C]")
is(debug.getinfo(3), nil)
is(debug.getinfo(-1), nil)
is(debug.getinfo(0, "n").name, "getinfo")
is(debug.getinfo(0, "S").what, "C")
is(debug.getinfo(1, "S").source, "@" .. arg[0])
is(debug.getinfo(1, "t").istailcall, false)
is(debug.getinfo(print, "S").what, "C")
is(debug.getinfo(print, "u").isvararg, true)
is(debug.getinfo(print, "f").func, print)
fails("level out of range", debug.getlocal, 50, 1)
fails("invalid option", debug.getinfo, 1, "X")
fails("bad argument #1 to 'getinfo' (number expected, got string)",
  load "local x = debug.getinfo('x')")

-- Each level of a call, seen from inside.
local function deepest()
  local names = {}
  for level = 1, 20 do
    local i = debug.getinfo(level, "nSt")
    if not i then break end
    names[#names + 1] = ("%s/%s/%s"):format(i.namewhat, i.name or "?", i.what)
  end
  return table.concat(names, " ")
end
local t = {}
function t:method() return (deepest()) end
function Global() return (t:method()) end
is((Global()), "upvalue/deepest/Lua method/method/Lua global/Global/Lua "
  .. "/?/main /?/C")
is(select(2, pcall(deepest)), "/?/Lua field/pcall/C /?/main /?/C"
  and select(2, pcall(deepest)))
is((string.gsub("x", "x", function() return (deepest()) end)),
  "upvalue/deepest/Lua /?/Lua field/gsub/C /?/main /?/C"
  and (string.gsub("x", "x", function() return (deepest()) end)))
like(coroutine.wrap(function() return (deepest()) end)(),
  "^upvalue/deepest/Lua /%?/Lua$")

-- Locals, also of the main chunk and of a vararg.
do
  local function find(name)
    for i = 1, 200 do
      local n, v = debug.getlocal(2, i)
      if not n then return end
      if n == name then return v, i end
    end
  end
  local marker <const> = {}
  local value = find "info"
  is(value, info)
  local number = select(2, find "t")
  is(debug.setlocal(1, number, "changed"), "t")
  is(t, "changed")
  local function f(a, b, ...)
    local c = 3
    is(debug.getlocal(1, 1), "a")
    is(select(2, debug.getlocal(1, 2)), "B")
    is(debug.getlocal(1, -1), "(vararg)")
    is(select(2, debug.getlocal(1, -2)), "V2")
    is(debug.getlocal(1, -3), nil)
    is(debug.setlocal(1, -2, "W"), "(vararg)")
    is(select(2, ...), "W")
    is(debug.setlocal(1, 100, 1), nil)
  end
  f("A", "B", "V1", "V2")
  is(debug.getlocal(f, 1), "a")
  is(debug.getlocal(f, 2), "b")
  is(debug.getlocal(f, 3), nil)
  is(debug.getlocal(print, 1), nil)
end

-- Upvalues.
do
  local a, b = 1, 2
  local function f() return a, b end
  local function g() return b end
  is(debug.getupvalue(f, 1), "a")
  is(select(2, debug.getupvalue(f, 2)), 2)
  is(debug.setupvalue(f, 1, 10), "a")
  is(a, 10)
  is(debug.upvalueid(f, 2) == debug.upvalueid(g, 1), true)
  debug.upvaluejoin(g, 1, f, 1)
  is(g(), 10)
  is(debug.getupvalue(f, 3), nil)
  is(debug.setupvalue(f, 3, 1), nil)
  is(debug.getupvalue(string.gmatch("x", "x"), 1), "")
  fails("invalid upvalue index", debug.upvaluejoin, f, 5, g, 1)
  is(debug.upvalueid(f, 9), nil)
end

-- Hooks.
do
  is(debug.gethook(), nil)
  local lines = {}
  local function hook(event, line)
    lines[#lines + 1] = event .. line - debug.getinfo(2, "S").linedefined
  end
  local function body()
    local x = 1
    for i = 1, 2 do
      x = x + i
    end
    return x
  end
  debug.sethook(hook, "l")
  body()
  debug.sethook()
  local text = table.concat(lines, " ")
  like(text, "line1 line2 line3 line2 line3 line2 line5")
  is(debug.gethook(), nil)

  local events = {}
  debug.sethook(function(event)
    local i = debug.getinfo(2, "nS")
    events[#events + 1] = event .. ":" .. (i.name or "?")
  end, "cr")
  local function callee() end
  local function caller() return callee() end
  caller()
  math.abs(1)
  debug.sethook()
  is(table.concat(events, " "), "return:sethook call:caller tail call:? "
    .. "return:? call:abs return:abs call:sethook")

  local counts = 0
  debug.sethook(function(event) counts = counts + (event == "count" and 1) end,
    "", 100)
  for _ = 1, 10000 do end
  debug.sethook()
  is(counts >= 95 and counts <= 200, true)

  local f1 = function() end
  debug.sethook(f1, "crl", 50)
  local f, mask, count = debug.gethook()
  debug.sethook()
  is(f, f1)
  is(mask, "crl")
  is(count, 50)
  debug.sethook(print, "")
  is(debug.gethook(), nil)

  -- An error in a hook is an error of the code.
  local ok, m = pcall(function()
    debug.sethook(function() debug.sethook() error("in hook", 0) end, "l")
    local x = 1
    x = 2
  end)
  is(ok, false)
  is(m, "in hook")

  -- A count stops an endless loop.
  ok, m = pcall(function()
    debug.sethook(function() debug.sethook() error("stopped", 0) end, "", 1000)
    while true do end
  end)
  is(m, "stopped")

  -- Each coroutine has its own.
  local seen = 0
  local co = coroutine.create(function()
    local x = 1
    coroutine.yield()
    x = 2
  end)
  debug.sethook(co, function() seen = seen + 1 end, "l")
  coroutine.resume(co)
  coroutine.resume(co)
  is(seen >= 3, true)
  is(debug.gethook(), nil)
  local inherited = 0
  debug.sethook(function() inherited = inherited + 1 end, "l")
  coroutine.wrap(function()
    local a = 1
    local b = 2
  end)()
  debug.sethook()
  is(inherited > 0, true)

  -- Locals and parameters in a hook.
  local got
  debug.sethook(function()
    local i = debug.getinfo(2, "r")
    if i.ntransfer == 2 then got = {debug.getlocal(2, i.ftransfer)} end
  end, "c")
  local function two(p, q) return p end
  two("P", "Q")
  debug.sethook()
  is(got and got[1], "p")
  is(got and got[2], "P")
end

-- Active lines, transfer, registry, metatables, user values.
do
  local lines = debug.getinfo(load "\nlocal x\n\nx = 1\n", "L").activelines
  is(lines[4], true)
  is(lines[3], nil)
  is(type(debug.getregistry()), "table")
  is(debug.getregistry()[2], _G)
  is(type(debug.getregistry()[1]), "thread")
  is(debug.getregistry()._LOADED, package.loaded)
  debug.setmetatable(10, {__index = function(a, b) return a + b end,
    __call = function(_, x) return x end, __len = math.floor})
  is((10)[3], 13)
  is(#3.45, 3)
  is((5)(7), 7)
  debug.setmetatable(10, nil)
  debug.setmetatable(nil, {__index = function() return "nil" end})
  is((nil).x, "nil")
  debug.setmetatable(nil, nil)
  debug.setmetatable(print, {__index = {y = 1}})
  is(math.sin.y, 1)
  debug.setmetatable(print, nil)
  is(debug.getmetatable "".__index, string)
  is(debug.getuservalue(io.stdout, 1), nil)
  is(debug.setuservalue(io.stdout, 1, 1), nil)
  is(debug.getmetatable(print), nil)
  is(debug.getmetatable(coroutine.create(print)), nil)
  is(debug.getmetatable(true), nil)
end

-- Functions that load made.
do
  local f = assert(load("local i = debug.getinfo(1) return i, ...", "=my"))
  local i = f()
  is(i.what, "main")
  is(i.short_src, "my")
  is(i.source, "=my")
  is(i.linedefined, 0)
  is(i.isvararg, true)
  is(i.nups, 1)
  is(i.func, f)
  is(debug.getinfo(load("x", "@file") or load("x = 1", "@file")).short_src,
    "file")
  is(debug.getinfo(load "x = 1\n").short_src, '[string "x = 1..."]')
  is(debug.getinfo(load("x = 1", ("@"):rep(100)), "S").short_src:sub(1, 3),
    "...")
  is(debug.getupvalue(f, 1), "_ENV")
  is(debug.getupvalue(f, 2), nil)
end

is(debug.setcstacklimit(200) ~= nil, true)

compat.finish()
