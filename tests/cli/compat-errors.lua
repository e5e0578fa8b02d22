-- Error messages, handlers, tracebacks and limits; holds in lua5.4.

local compat = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/compat.lua")
local is, like, fails = compat.is, compat.like, compat.fails
local here = debug.getinfo(1, "S").short_src

-- Runs a text and expects that its error has a part.
local function says(text, part)
  fails(part, assert(load(text, "=text")))
end

-- Names of variables in messages.
says("a = {} + 1", "attempt to perform arithmetic on a table value")
says("a = {} | 1", "attempt to perform bitwise operation on a table value")
says("a = {} < 1", "attempt to compare table with number")
says("a = {} <= 1", "attempt to compare table with number")
says("a = {} < {}", "attempt to compare two table values")
says("a = 1 < 'x'", "attempt to compare number with string")
says("aaa = 1 bbbb = 2 aaa = math.sin(3) + bbbb(3)", "global 'bbbb'")
says("aaa = {} do local aaa = 1 end aaa:bbbb(3)", "method 'bbbb'")
says("local a = {} a.bbbb(3)", "field 'bbbb'")
says("aaa = {13} local bbbb = 1 aaa = aaa[bbbb] aaa.x = 1", "global 'aaa'")
says("local a, b, c (function() a = b + 1.1 end)()", "upvalue 'b'")
says("local a <const> = nil return a + 1", "on a nil value")
says("aaa = nil (aaa or aaa)()", "attempt to call a nil value")
says("aaa = #3", "attempt to get length of a number value")
says("aaa = #print", "get length of a function value (global 'print')")
says("aaa.bbb:ddd(9)", "global 'aaa'")
says("local aaa = {bbb = 1} aaa.bbb:ddd(9)", "field 'bbb'")
says("local aaa = {bbb = {}} aaa.bbb:ddd(9)", "method 'ddd'")
says("local a, b, c a = {} a.x.y.z = 1", "field 'x'")
says("return {} .. 'a'", "attempt to concatenate a table value")
says("local aa = {} return 'a' .. aa", "local 'aa'")
says("return 1.5 | 1", "number has no integer representation")
says("return 2.0 ^ 63 | 1", "number has no integer representation")
says("return 'x' | 1", "attempt to perform bitwise operation on a string value")
says("local t = {} t[nil] = 1", "index is nil")
says("local t = {} t[0/0] = 1", "index is NaN")
says("rawset({}, nil, 1)", "index is nil")
says("for i = 1, 10, 0 do end", "'for' step is zero")
says("for k in 5 do end", "attempt to call a number value")
says("local function f() end f.x.y = 1", "local 'f'")
says("_ENV = 1 x = 2", "upvalue '_ENV'")
says("local _ENV <const> = {} xx()", "global 'xx'")
says("local x <close> = 1", "variable 'x' got a non-closable value")
says("string.rep('x', -1, {})", "bad argument #3 to 'rep'")
says("('x'):rep({})", "bad argument #1 to 'rep'")
says("('x'):bad()", "method 'bad'")
says("string.format('%d', 'x')", "bad argument #2 to 'format'")
says("string.format('%d', 1.5)", "number has no integer representation")
says("string.format('%y', 1)", "invalid conversion '%y' to 'format'")
says("setmetatable(1, {})", "bad argument #1 to 'setmetatable' (table expected")
says("setmetatable({}, 1)", "bad argument #2 to 'setmetatable' (nil or table")
says("return math.floor()", "bad argument #1 to 'floor' (number expected, got "
  .. "no value)")
says("io.open('x', 'bad')", "invalid mode")
says("local s = io.stdout s.write()", "got no value")
says("table.concat({1, {}, 3})", "invalid value (table) at index 2")
says("table.insert({}, 5, 1)", "position out of bounds")
says("select(0)", "index out of range")
says("utf8.char(-1)", "value out of range")

-- Messages of the parser.
local function refuses(text, part)
  local f, message = load(text, "=text")
  is(f, nil)
  is(message and message:find(part, 1, true) and part or message, part)
end
refuses("x = ", "text:1: unexpected symbol near <eof>")
refuses("::l:: ::l::", "label 'l' already defined on line 1")
refuses("goto l local a ::l:: print(a)",
  "<goto l> at line 1 jumps into the scope of local 'a'")
refuses("local a <const> = 1 a = 2", "attempt to assign to const variable 'a'")
refuses("local a <bad> = 1", "unknown attribute 'bad'")
refuses("local a <close>, b <close> = 1", "multiple to-be-closed variables in "
  .. "local list")
refuses("for i = 1 do end", "',' expected near 'do'")
refuses("function f(", "near <eof>")
refuses("if x then\n\n", "text:3: 'end' expected (to close 'if' at line 1)"
  .. " near <eof>")
refuses("x = }", "unexpected symbol near '}'")
refuses("x = 1 2", "near '2'")
refuses("return ... , function() return ... end",
  "cannot use '...' outside a vararg function near '...'")
refuses("x = 0x", "malformed number near '0x'")
refuses("x = 3e", "malformed number near '3e'")
refuses("--[[ never", "unfinished long comment (starting at line 1)")
refuses("x = [==[ a ]=]", "unfinished long string (starting at line 1)")
refuses("x = '\\400'", "decimal escape too large near ''\\400'")
refuses("x = '\\u{110000000}'", "UTF-8 value too large")
refuses("\255 = 1", "unexpected symbol near '<\\255>'")
refuses(("("):rep(300) .. "1" .. (")"):rep(300), "C stack overflow")
refuses(("local a "):rep(201), "too many local variables (limit is 200) in "
  .. "main function near")
refuses("x = 1 = 2", "near '='")
refuses(("a."):rep(10) .. "b", "syntax error near <eof>")

-- Levels of error, and what it takes away.
local function level(n)
  local function a(l) error("m", l) end
  local function b(l)
    local x = a(l)
    return x
  end
  local _, m = pcall(b, n)
  return m
end
local base = debug.getinfo(level, "S").linedefined
is(level(0), "m")
is(level(1), ("%s:%d: m"):format(here, base + 1))
is(level(2), ("%s:%d: m"):format(here, base + 3))
is(level(3), "m")  -- pcall is C
is(select(2, pcall(error)), nil)
is(select(2, pcall(error, nil)), nil)
is(select("#", pcall(error)), 2)
local object = {}
is(select(2, pcall(error, object)), object)
is(select(2, pcall(error, 10)), 10)
is(select(2, pcall(error, "x")), "x")
is(select(2, pcall(error, "x", 1)), "x")
fails("assertion failed!", assert, false)
is(select(2, pcall(assert, nil, object)), object)
is(select(2, pcall(assert, false, nil)), nil)
is(select("#", assert(1, 2, 3)), 3)
fails("bad argument #1 to 'assert' (value expected)", assert)

-- xpcall and its handler.
is(select("#", xpcall(function(...) return ... end, print, 1, nil, nil)), 4)
is(select(2, xpcall(error, function(m) return m .. "!" end, "e")), "e!")
local function depth()
  local n = 0
  while debug.getinfo(n + 1, "l") do n = n + 1 end
  return n
end
local function raise() error("x", 0) end
local outside = depth()
local _, inside = xpcall(raise, depth)
is(inside, outside + 3)  -- xpcall, raise and error are below the handler
local _, current = xpcall(function()
  local x = nil + 1
end, function() return debug.getinfo(2, "l").currentline end)
is(current, debug.getinfo(1, "l").currentline - 2)
local _, twice = xpcall(error, function(m)
  if m == "first" then error "second" end
  return m
end, "first")
like(twice, "second")
local status, text = xpcall(error, error, "x")
is(status, false)
local count = 0
status, text = xpcall(error, function() count = count + 1 error "again" end)
is(status, false)
is(count >= 1, true)

-- The traceback a handler sees.
local function inner() local t = nil t.x = 1 end
local function outer() inner() end
_, text = xpcall(outer, debug.traceback)
local lines = {}
for l in text:gmatch "[^\n]+" do lines[#lines + 1] = l end
like(lines[1], "attempt to index a nil value %(local 't'%)$")
is(lines[2], "stack traceback:")
like(lines[3], "in upvalue 'inner'$")
like(lines[4], "in function <" .. here:gsub("%-", "%%-") .. ":%d+>$")
like(lines[5], "^\t%[C%]: in function 'xpcall'$")
like(lines[6], "in main chunk$")
is(lines[7], "\t[C]: in ?")
is(lines[8], nil)

-- Tracebacks.
is(debug.traceback(object), object)
is(debug.traceback(print), print)
is(debug.traceback(nil), debug.traceback())
is(debug.traceback("x", 1000), "x\nstack traceback:")
is(debug.traceback("x", 1), ("x\nstack traceback:\n\t%s:%d: in main chunk\n"
  .. "\t[C]: in ?"):format(here, debug.getinfo(1, "l").currentline - 1))
is(debug.traceback(12, 1):match "^12\n" ~= nil, true)
like(debug.traceback("x", 0), "\n\t%[C%]: in function 'debug.traceback'\n")
local function rec(n)
  if n > 0 then
    local r = rec(n - 1)
    return r
  end
  return debug.traceback "deep"
end
local t = rec(100)
is(select(2, t:gsub("\n", "\n")), 23)
like(t, "\n\t%.%.%.\t%(skipping %d+ levels%)\n")
function Glob() return (debug.traceback()) end
like(Glob(), "in function 'Glob'")
local obj = {method = function() return (debug.traceback()) end}
like(obj:method(), "in method 'method'")
like(obj.method(), "in field 'method'")
like(setmetatable({}, {__add = function() return (debug.traceback()) end}) + 1,
  "in metamethod 'add'")
for tr in function(_, c) if not c then return (debug.traceback()) end end do
  like(tr, "in for iterator 'for iterator'")
end
local function tail() return debug.traceback "t" end
local function calls() return tail() end
like((calls()), "%(%.%.%.tail calls%.%.%.%)")
local function traced(m) return debug.traceback(m) end
like(select(2, xpcall(error, function(m) return traced(m) end, "t")),
  "%(%.%.%.tail calls%.%.%.%)")
is(select(2, xpcall(error, traced, "t")):find "tail calls", nil)
is(select(2, xpcall(error, function(m) return (traced(m)) end, "t"))
  :find "tail calls", nil)

-- Stack overflow in Lua.
local function forever() return 1 + forever() end
_, text = pcall(forever)
like(text, "^" .. here:gsub("%-", "%%-") .. ":%d+: stack overflow")
local frames = 0
local function counting() frames = frames + 1 counting() end
pcall(counting)
is(frames > 10000, true)
_, text = xpcall(forever, function(m)
  is(type(m), "string")
  local function some(n) if n > 0 then return 1 + some(n - 1) end return 0 end
  return some(10) .. m
end)
like(text, "^10.*stack overflow")
_, text = xpcall(forever, forever)
is(text ~= nil, true)
local function tailed(n)
  if n == 0 then return "end" end
  return tailed(n - 1)
end
is(tailed(1000000), "end")
fails("too many results to unpack", table.unpack, {}, 1, 1e7)
fails("too many results", table.unpack, {}, math.mininteger, math.maxinteger)
fails("string slice too long", string.byte, ("x"):rep(2 ^ 24), 1, -1)

-- C stack overflow: errors in C calling Lua calling C, and so on.
local function through_gsub(n)
  return (("a"):gsub("a", function() return through_gsub(n + 1) end))
end
status, text = pcall(through_gsub, 0)
is(status, false)
like(text, "C stack overflow")
local function through_pcall() return pcall(through_pcall) end
local results = {through_pcall()}
is(results[#results - 1], false)
like(tostring(results[#results]), "stack overflow")
local function through_sort()
  table.sort({1, 2, 3}, function(a, b) through_sort() return a < b end)
end
status, text = pcall(through_sort)
like(text, "C stack overflow")
local looping = setmetatable({}, {})
getmetatable(looping).__index = looping
fails("'__index' chain too long", function()
  return looping.x
end)
getmetatable(looping).__newindex = looping
fails("'__newindex' chain too long", function()
  looping.x = 1
end)
local tostr = setmetatable({}, {})
getmetatable(tostr).__tostring = function(x) return tostring(x) end
status, text = pcall(tostring, tostr)
is(status, false)
like(text, "C stack overflow")
local concat = setmetatable({}, {})
getmetatable(concat).__concat = function(a, b) return a .. b end
status, text = pcall(function() return concat .. "x" end)
like(text, "C stack overflow")
status, text = load("x = " .. ("{"):rep(300) .. ("}"):rep(300))
is(status, nil)
like(text, "C stack overflow")
is(pcall(string.rep, "x", 10), true)
status, text = pcall(string.rep, "x", math.maxinteger)
like(text, "resulting string too large")

-- Metatables that hide, and objects raised.
is(getmetatable(setmetatable({}, {__metatable = "no"})), "no")
fails("cannot change a protected metatable", setmetatable,
  setmetatable({}, {__metatable = 1}), {})
fails("'__tostring' must return a string", tostring,
  setmetatable({}, {__tostring = function() return {} end}))
like(tostring(setmetatable({}, {__name = "My"})), "^My: 0x")
fails("bad argument #1 to 'len' (string expected, got My)", function()
  return string.len(setmetatable({}, {__name = "My"}))
end)
fails("attempt to perform arithmetic on a My value", function()
  return setmetatable({}, {__name = "My"}) + 1
end)

compat.finish()
