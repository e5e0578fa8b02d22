-- load, loadfile, dofile, string.dump and require; holds in lua5.4.

local compat = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/compat.lua")
local is, like, fails = compat.is, compat.like, compat.fails

local scratch = os.tmpname()
os.remove(scratch)
assert(os.execute("mkdir " .. scratch))
local function write(name, text)
  local path = scratch .. "/" .. name
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  return path
end

-- load in all its forms.
is(load "return 1, ..." "x" ~= nil, true)
is(select("#", load "return ..." (1, nil, 3)), 3)
is(load("x = ", "=n") == nil, true)
is(select(2, load("x = ", "=n")), "n:1: unexpected symbol near <eof>")
is(select("#", load("x = ")), 2)
is(select(2, load("x = =", "@file.lua")), "file.lua:1: unexpected symbol near "
  .. "'='")
like(select(2, load "x = ="), '^%[string "x = ="%]:1: ')
like(select(2, load "\nx = ="), '^%[string "%.%.%."%]:2: ')
is(load("return 1", "n", "t")(), 1)
is(load("return 1", "n", "bt")(), 1)
is(select(2, load("return 1", "n", "b")),
  "attempt to load a text chunk (mode is 'b')")
local dumped = string.dump(function() return 7 end)
is(load(dumped, "n", "b")(), 7)
is(select(2, load(dumped, "n", "t")),
  "attempt to load a binary chunk (mode is 't')")
like(select(2, load(dumped:sub(1, -2), "=n", "b")), "^n: .*truncated")
like(select(2, load("\27bad", "=n")), "^n: ")
is(load("return x", "n", "t", {x = 5})(), 5)
is(load("return _ENV", "n", "t", nil)(), nil)
is(load("return _ENV", "n", "t")(), _G)
is(load("x = 1; return _ENV", "n", "t", {})().x, 1)
is(load("return type(_ENV)", "n", "bt", setmetatable({}, {__index = _G}))(),
  "table")
do
  local up1, up2 = 1, 2
  local function f() return up1, up2 end
  local g = load(string.dump(f))
  is(debug.getupvalue(g, 1), "up1")
  is(select(2, g()), nil)
  debug.setupvalue(g, 1, "set")
  is(g(), "set")
  local e = load(string.dump(f), "n", "b", "first")
  is(e(), "first")
end

-- Readers.
local function reader(...)
  local pieces, i = {...}, 0
  return function()
    i = i + 1
    return pieces[i]
  end
end
is(load(reader("ret", "urn ", "1", "0"))(), 10)
is(load(reader("return 1", "", "0"))(), 1)
is(load(reader())(), nil)
is(load(reader "return debug.getinfo(1).source")(), "=(load)")
is(load(reader "return debug.getinfo(1).source", "@x")(), "@x")
is(select(2, load(reader "return return", "=r")), "r:1: unexpected symbol "
  .. "near 'return'" and select(2, load(reader "return return", "=r")))
is(load(reader(dumped:sub(1, 10), dumped:sub(11)))(), 7)
like(select(2, load(function() error("in reader", 0) end)), "^in reader")
like(select(2, load(function() return {} end)),
  "reader function must return a string")
like(select(2, load(function() return true end)),
  "reader function must return a string")
do
  local text, at = ("x = 1\n"):rep(5000) .. "return x", 0
  is(load(function()
    at = at + 1
    local c = text:sub(at, at)
    return c ~= "" and c or nil
  end)(), 1)
  local deep = coroutine.wrap(function()
    return load(reader "return 'loaded in a coroutine'")()
  end)
  is(deep(), "loaded in a coroutine")
end
-- A reader is called till the first mistake, and from load itself.
do
  local calls = 0
  local function endless(text)
    calls = 0
    return function()
      calls = calls + 1
      return text
    end
  end
  is(select(2, load(endless "x = = 1\n", "=r")), "r:1: unexpected symbol near "
    .. "'='")
  is(calls, 1)
  is(select(2, load(endless "x = 1; local await = 1", "=r", "b")),
    "attempt to load a text chunk (mode is 'b')")
  is(select(2, load(endless(dumped), "=r", "t")),
    "attempt to load a binary chunk (mode is 't')")
  is(calls, 1)
  local what, line
  load(function()
    local above = debug.getinfo(2, "S")
    what, line = above.what, debug.getinfo(3, "l").currentline
  end)
  is(what, "C")
  is(line, debug.getinfo(1, "l").currentline - 5)
  local words = "local async, await = 1, 2 --[[await]] return async, await"
  for size = 1, 12 do
    local at = 1 - size
    local f = load(function()
      at = at + size
      return words:sub(at, at + size - 1)
    end)
    is(select(2, f()), 2)
  end
  local at = 0
  is(select(2, load(function()
    at = at + 1
    if at > 3 then error("in reader", 0) end
    return "local await = 1 "
  end)):match "^in reader", "in reader")
  like(select(2, loadfile "/dev/zero"), "^/dev/zero:1: unexpected symbol")
end
fails("bad argument #1 to 'load' (function expected, got table)",
  load "local x = load {}")
fails("bad argument #1 to 'load' (function expected, got no value)",
  load "local x = load()")

-- Dumping.
do
  local function f(a)
    local b = a + 1
    error(b)
  end
  local whole = string.dump(f)
  local bare = string.dump(f, true)
  is(#bare < #whole, true)
  like(select(2, pcall(load(whole), {})), "local 'a'")
  like(select(2, pcall(load(bare), {})), "^%?:%-1:")
  is(debug.getlocal(load(bare), 1), "(parameter)" and debug.getlocal(load(bare),
    1))
  is(load(string.dump(load "return 1.5, 'x', nil, true, 1 << 62"))(), 1.5)
  fails("unable to dump given function", string.dump, print)
  local h = load(string.dump(load("return debug.getinfo(1)", "@src"), true))()
  is(h.source, "=?")
  is(h.currentline, -1)
end

-- loadfile and dofile.
local path = write("a.lua", "#!shebang\nreturn debug.getinfo(1, 'lS'), ...")
local info, one = loadfile(path)(1)
is(info.currentline, 2)
is(info.source, "@" .. path)
is(one, 1)
is(select("#", dofile(path)), 1)
is(loadfile(path, "b"), nil)
like(select(2, loadfile(path, "b")), "attempt to load a text chunk")
path = write("env.lua", "y = 3 return x")
local env = {x = "X"}
is(loadfile(path, "t", env)(), "X")
is(env.y, 3)
is(loadfile(path, nil, env)(), "X")
is(select(2, loadfile(scratch .. "/none")), "cannot open " .. scratch
  .. "/none: No such file or directory")
fails("cannot open " .. scratch .. "/none", dofile, scratch .. "/none")
path = write("bad.lua", "x = = 1")
like(select(2, loadfile(path)), "bad%.lua:1: unexpected symbol near '='$")
fails("bad.lua:1:", dofile, path)
path = write("bin.lua", "# comment\n" .. dumped)
is(dofile(path), 7)
is(loadfile(path, "t"), nil)
is(dofile(write("bom.lua", "\xEF\xBB\xBF# x\nreturn 'bom'")), "bom")
is(dofile(write("empty.lua", "")), nil)
is(dofile(write("return.lua", "return ...")), nil)
do
  local co = coroutine.wrap(function() return dofile(scratch .. "/yields.lua")
  end)
  write("yields.lua", "local x = coroutine.yield 'from dofile' return x")
  is(co(), "from dofile")
  is(co "back", "back")
end

-- require.
package.path = scratch .. "/?.lua;" .. scratch .. "/?/init.lua"
package.cpath = scratch .. "/?.so"
write("mod.lua", "N = (N or 0) + 1 return {args = {...}, n = N}")
local mod, extra = require "mod"
is(mod.n, 1)
is(extra, scratch .. "/mod.lua")
is(mod.args[1], "mod")
is(mod.args[2], scratch .. "/mod.lua")
is(require "mod", mod)
is(select("#", require "mod"), 1)
is(package.loaded.mod, mod)
package.loaded.mod = nil
is(require "mod".n, 2)
write("nothing.lua", "")
is(require "nothing", true)
write("falsy.lua", "return false")
is(require "falsy", false)
is(package.loaded.falsy, false)
write("sets.lua", "package.loaded[...] = 'set'")
is(require "sets", "set")
assert(os.execute("mkdir -p " .. scratch .. "/dir/sub"))
write("dir/init.lua", "return 'dir'")
write("dir/sub/leaf.lua", "return ...")
is(require "dir", "dir")
is(require "dir.sub.leaf", "dir.sub.leaf")
fails(("module 'no.where' not found:\n\tno field package.preload['no.where']\n"
  .. "\tno file '%s/no/where.lua'\n\tno file '%s/no/where/init.lua'\n"
  .. "\tno file '%s/no/where.so'\n\tno file '%s/no.so'"):format(scratch,
  scratch, scratch, scratch), require, "no.where")
write("bad.lua", "x x")
fails(("error loading module 'bad' from file '%s/bad.lua':\n\t%s/bad.lua:1: "
  .. "syntax error near 'x'"):format(scratch, scratch), require, "bad")
write("raises.lua", "error({5})")
is(select(2, pcall(require, "raises"))[1], 5)
write("loop.lua", "return (require 'loop2')")
write("loop2.lua", "return tostring(package.loaded.loop)")
is(require "loop", "nil")
package.preload.pre = function(...) return table.pack(...) end
is(require "pre"[1], "pre")
is(require "pre"[2], ":preload:")
is(select(2, require "pre"), nil)
package.loaded.pre = nil
is(select(2, require "pre"), ":preload:")
is(#package.searchers, 4)
table.insert(package.searchers, 2, function(name)
  if name == "mine" then return function(...) return {...} end, "data" end
  return "\n\tnot mine: " .. name
end)
is(require "mine"[2], "data")
fails("not mine: nope", require, "nope")
table.remove(package.searchers, 2)
is(package.searchpath("mod", package.path), scratch .. "/mod.lua")
is(package.searchpath("dir.sub.leaf", package.path), scratch
  .. "/dir/sub/leaf.lua")
is(select(2, package.searchpath("x-y", "?.a;?.b", "-", "+")),
  "no file 'x+y.a'\n\tno file 'x+y.b'")
is(package.config:sub(1, 9), "/\n;\n?\n!\n-")
is(package.loaded._G, _G)
is(package.loaded.string, string)
is(select("#", package.loadlib(scratch .. "/none.so", "*")), 3)
is(select(3, package.loadlib(scratch .. "/none.so", "*")), "open")
package.path = nil
fails("'package.path' must be a string", require, "other")
package.path = 5
fails("no file '5'", require, "other")
package.path = scratch .. "/?.lua"
local searchers = package.searchers
package.searchers = nil
fails("'package.searchers' must be a table", require, "other")
package.searchers = searchers
-- _ENV.
do
  local function f()
    local _ENV <const> = {a = 10}
    return a, b
  end
  is((f()), 10)
  local _ENV = {is = is}
  x = 3
  is(_ENV.x, 3)
end

os.execute("rm -rf " .. scratch)
compat.finish()
