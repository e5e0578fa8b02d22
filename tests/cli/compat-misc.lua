-- Numbers, strings, goto, the collector, os, io, warn; holds in lua5.4.

local compat = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/compat.lua")
local is, like, fails = compat.is, compat.like, compat.fails

-- The globals of Lua, and of a script nothing more but async's.
do
  local known = {}
  for name in ([[_G _VERSION arg assert async asyncio await collectgarbage
    coroutine debug dofile error getmetatable io ipairs load loadfile math next
    os package pairs pcall print rawequal rawget rawlen rawset require select
    setmetatable string table tonumber tostring type utf8 warn xpcall]])
    :gmatch "%S+" do known[name] = true end
  for name in pairs(_G) do is(known[name] and name, name) end
  is(_VERSION, "Lua 5.4")
  is(getmetatable(_G), nil)
  for _, lib in ipairs{"string", "table", "math", "os", "io", "coroutine",
    "debug", "utf8", "package"} do is(package.loaded[lib], _G[lib]) end
  local names = {}
  for name in pairs(coroutine) do names[#names + 1] = name end
  table.sort(names)
  is(table.concat(names, " "),
    "close create isyieldable resume running status wrap yield")
end
is(select("#", ...), #arg)

-- Numbers.
is(1 // 1, 1)
is(7 // 2.0, 3.0)
is(-7 // 2, -4)
is(-7 % 3, 2)
is(7 % -3, -2)
is(2 ^ 2, 4.0)
is(10 / 2, 5.0)
is(math.maxinteger + 1, math.mininteger)
is(1e15 // 1, 1e15)
is("10" + 5, 15)
is("0x10" + 0, 16)
is("1e1" + 0, 10.0)
is(10 .. "", "10")
is(1.0 .. "", "1.0")
is(-0.0 .. "", "-0.0")
is(tostring(1 / 0), "inf")
is(tostring(-1 / 0), "-inf")
like(tostring(0 / 0), "nan")
is(tostring(3.14), "3.14")
is(tostring(1e100), "1e+100")
is(2 ^ 53 == 2 ^ 53 + 1, true)
is(1 << 53 == (1 << 53) + 1, false)
is(math.type(3 | 0), "integer")
is(3.0 | 0, 3)
is(1 < 1.5, true)
is(math.maxinteger < math.huge, true)
is(math.tointeger(3.0), 3)
is(tonumber "0x1p4", 16.0)
is(tonumber("zz", 36), 1295)
is(tonumber "1e", nil)
is(tonumber "  12  ", 12)
is(tonumber "1_000", nil)
is(0x7fffffffffffffff + 1 == math.mininteger, true)
is(0xffffffffffffffff, -1)
is(9223372036854775808, 9223372036854775808.0)
is(math.ult(1, -1), true)
is(string.format("%5.2f|%d|%x|%q|%s|%i", 3.14159, 42, 255, "a\n\0b", {} and 1,
  5), " 3.14|42|ff|\"a\\\n\\0b\"|1|5")
is(string.format("%q", 0.1), "0x1.999999999999ap-4")
is(string.format("%q", math.mininteger), "0x8000000000000000")
is(string.format("%a", 1), "0x1p+0")
is(string.format("%-5s|%5s|%.2s", "ab", "cd", "efg"), "ab   |   cd|ef")
is(string.format("%d", 3.0), "3")
is(string.format("%c%c", 72, 105), "Hi")
is(string.format("%%"), "%")
is(1 // 0.0, math.huge)
for i = 3, 1 do is(i, "never") end
do
  local n = 0
  for i = math.maxinteger - 1, math.maxinteger do n = n + 1 end
  is(n, 2)
  for i = 1.0, 2.0, 0.5 do n = n + 1 end
  is(n, 5)
end

-- Strings, literals and escapes.
is("\65\066\x43\u{44}\z
    E", "ABCDE")
is([[
first newline is dropped]], "first newline is dropped")
is([==[a]]b]=]c]==], "a]]b]=]c")
is("a\
b", "a\nb")
is(#"\u{7FFFFFFF}", 6)
is("\r\n", "\13\10")
is(load "return 'a\\\r\nb'"(), "a\nb")
is(load "return [[\r\na\r\nb]]"(), "a\nb")
is(("x"):rep(3, ","), "x,x,x")
is(("hello world"):gsub("o", "0"), "hell0 w0rld")
is(("key = value"):match "^(%w+)%s*=%s*(%w+)$", "key")
is(("abc"):byte(-1), 99)
is(("%d"):format(7), "7")
is(string.unpack("<i4", string.pack("<i4", -100)), -100)
is(utf8.len "åäö", 3)
is(utf8.char(228, 8364), "ä€")
is(table.concat({1, 2, 3}, "-", 2, 3), "2-3")
is(#table.pack(table.unpack({1, nil, 3}, 1, 3)), 3)
do
  local list = {5, 2, 8, 1}
  table.sort(list, function(a, b) return a > b end)
  is(table.concat(list, " "), "8 5 2 1")
  fails("invalid order function for sorting", table.sort,
    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, function() return true end)
  is(table.move({1, 2, 3}, 1, 3, 2)[3], 2)
  is(select(-1, 1, 2, 3), 3)
  is(next {}, nil)
  is(rawlen {1, 2}, 2)
  is(rawequal("a", "a"), true)
end

-- goto, and names that are words in neap only where they mean something.
do
  local found
  for i = 1, 3 do
    for j = 1, 3 do
      if i * j == 4 then found = i goto done end
      if j == 2 then goto continue end
      ::continue::
    end
  end
  ::done::
  is(found, 2)
  local async, await = 1, 2
  is(async + await, 3)
  local t = {async = 1, await = 2}
  is(t.async + t.await, 3)
  function t.await(x) return x end
  is(t.await(4), 4)
  goto async
  ::async::
  local function await(x) return x end
  is(await "s", "s")
  is(await (5), 5)
  is(#await {1, 2}, 2)
end

-- Integer keys, varargs, multiple assignment, closures.
do
  local t = {}
  t[1.0], t[2 ^ 53] = "one", "big"
  is(t[1], "one")
  is(t[2 ^ 53 | 0], "big")
  local function count(...) return select("#", ...) end
  is(count(nil, nil), 2)
  is(count(table.unpack({}, 1, 200)), 200)
  local a, b, c = (function() return 1, 2 end)()
  is(c, nil)
  a, b = b, a
  is(a, 2)
  local fs = {}
  for i = 1, 3 do fs[i] = function() i = i + 1 return i end end
  is(fs[1]() + fs[1]() + fs[2](), 8)
  local x <const> = 42
  is(x, 42)
end

-- The collector.
do
  is(collectgarbage(), 0)
  is(math.type(collectgarbage "count"), "float")
  is(collectgarbage "isrunning", true)
  is(collectgarbage "stop", 0)
  is(collectgarbage "isrunning", false)
  is(collectgarbage "restart", 0)
  is(type(collectgarbage "step"), "boolean")
  local old = collectgarbage "incremental"
  is(old == "incremental" or old == "generational", true)
  is(collectgarbage "generational", "incremental")
  is(collectgarbage("incremental", 200, 100, 13), "generational")
  local pause = collectgarbage("setpause", 160)
  is(collectgarbage("setpause", pause), 160)
  local mul = collectgarbage("setstepmul", 200)
  is(collectgarbage("setstepmul", mul), 200)
  collectgarbage(old)
  fails("invalid option 'bad'", collectgarbage, "bad")
  local weak = setmetatable({}, {__mode = "k"})
  weak[{}] = 1
  collectgarbage()
  is(next(weak), nil)
  local order = {}
  for i = 1, 3 do
    setmetatable({}, {__gc = function() order[#order + 1] = i end})
  end
  collectgarbage()
  is(table.concat(order, " "), "3 2 1")
  local again = 0
  do
    local mt = {}
    mt.__gc = function(o)
      again = again + 1
      if again < 3 then setmetatable(o, mt) end
    end
    setmetatable({}, mt)
  end
  for _ = 1, 5 do collectgarbage() end
  is(again, 3)
  local before = collectgarbage "count"
  local big = ("x"):rep(2 ^ 20)
  is(collectgarbage "count" - before > 900, true)
  big = nil
  collectgarbage()
  is(collectgarbage "count" - before < 200, true)
  is(collectgarbage "count" > 10, true)
  local inside
  setmetatable({}, {__gc = function() inside = collectgarbage() end})
  collectgarbage()
  is(coroutine.wrap(function() return collectgarbage() end)(), 0)
  -- A finalizer runs on whatever runs, and may not yield.
  local yields
  coroutine.wrap(function()
    setmetatable({}, {__gc = function()
      yields = coroutine.isyieldable()
    end})
    collectgarbage()
  end)()
  is(yields, false)
  local depth
  setmetatable({}, {__gc = function()
    depth = debug.getinfo(1, "n").name
  end})
  collectgarbage()
  is(depth, "__gc")
end

-- os.
is(type(os.time()), "number")
is(os.time{year = 2000, month = 1, day = 1, hour = 12} > 0, true)
is(os.date("!%Y-%m-%d %H:%M:%S", 0), "1970-01-01 00:00:00")
is(os.date("!*t", 0).year, 1970)
is(type(os.clock()), "number")
is(os.getenv "NO_SUCH_VARIABLE", nil)
is(type(os.getenv "PATH"), "string")
fails("missing in date table", os.time, {})
fails("invalid conversion specifier '%Ez'", os.date, "%Ez")
is(select("#", os.execute "exit 3"), 3)
is(select(3, os.execute "exit 3"), 3)
is(select(2, os.execute "exit 3"), "exit")
is((os.execute "exit 3"), nil)
is((os.execute "true"), true)
is(os.execute(), true)
is(select(2, os.execute "kill -9 $$"), "signal")
is(select(3, os.execute "kill -9 $$"), 9)
is(os.setlocale "C", "C")
is(os.difftime(5, 3), 2.0)
is(select(3, os.remove "/no/such/file"), 2)
like(select(2, os.rename("/no/such/file", "/no/such/other")),
  "No such file or directory$")

-- io.
do
  local name = os.tmpname()
  local f = assert(io.open(name, "w+"))
  is(io.type(f), "file")
  is(f:write("line 1\n", 2, " ", 3.5, "\n"), f)
  is(f:seek "cur", 13)
  is(f:seek "set", 0)
  is(f:read "L", "line 1\n")
  is(f:read "n", 2)
  is(f:read "n", 3.5)
  is(f:read "a", "\n")
  is(f:read "a", "")
  is(f:read "l", nil)
  is(f:read(0), nil)
  is(f:setvbuf("full", 1024), true)
  is(f:flush() ~= nil, true)
  is(f:close(), true)
  like(tostring(f), "^file %(closed%)$")
  fails("attempt to use a closed file", f.read, f)
  local n = 0
  for line in io.lines(name) do n = n + 1 end
  is(n, 2)
  is(io.lines(name, 4)(), "line")
  fails("No such file or directory", io.lines, "/no/such/file")
  is(select(2, io.open "/no/such/file"),
    "/no/such/file: No such file or directory")
  local out = io.output()
  io.output(name)
  io.write "changed"
  io.close()
  io.output(out)
  local input = io.input()
  io.input(name)
  is(io.read "a", "changed")
  io.close(io.input())
  io.input(input)
  local p = io.popen "echo from a program; exit 4"
  is(p:read "a", "from a program\n")
  local a, b, c = p:close()
  is(a, nil)
  is(b, "exit")
  is(c, 4)
  p = io.popen("cat > " .. name, "w")
  p:write "into a program"
  is((p:close()), true)
  is(io.open(name):read "a", "into a program")
  is(io.type(io.stdin), "file")
  is(io.type(5), nil)
  fails("invalid mode", io.open, name, "rx")
  os.remove(name)
end

-- print, tostring and metamethods.
do
  local class = setmetatable({}, {__index = function(_, k) return k .. "!" end})
  is(class.x, "x!")
  local lt = {__lt = function(a, b) return a.v < b.v end,
    __eq = function(a, b) return a.v == b.v end,
    __concat = function(a, b) return "cat" end,
    __call = function(self, ...) return select("#", ...) end,
    __idiv = function() return "idiv" end}
  local a, b = setmetatable({v = 1}, lt), setmetatable({v = 2}, lt)
  is(a < b, true)
  is(a > b, false)
  is(a == b, false)
  is(a .. 1, "cat")
  is(1 .. a, "cat")
  is(a(nil, nil), 2)
  is(a // 1, "idiv")
  is(rawequal(a, b), false)
  is(tostring(setmetatable({}, {__tostring = function() return "T" end})), "T")
end

warn("@off")
warn "not seen"
is(select("#", warn "x"), 0)
fails("bad argument #1 to 'warn' (string expected, got no value)",
  load "local x = warn()")

compat.finish()
