-- How the prompt shows values: repl.format.

local format = require "neap.repl".format

test("strings are quoted, and what is no text is escaped", function()
  equal(format "a\n\"\\\0\27\1", [["a\n\"\\\0\27\x01"]])
  equal(format "é日本\255a\xC3", [["é日本\xFFa\xC3"]])
  equal(format(("x"):rep(3000)),
    '"' .. ("x"):rep(2000) .. '"... (3000 bytes)')
end)

test("functions tell where they are, and their names", function()
  local function f(a, b, ...) return a, b, ... end
  local async function g(x) return x end
  local here = " at tests/stdlib/repl/values.lua:"
  equal(format(f), "function(a, b, ...)" .. here .. 13)
  equal(format(g), "async function(x)" .. here .. 14)
  equal(format(print), "function print")
  equal(format(string.rep), "function string.rep")
  equal(format(asyncio.sleep), "async function asyncio.sleep")
  equal(format(require "neap.fs".read_file), "async function fs.read_file")
end)

test("errors tell their class and code", function()
  local e = asyncio.OSError.new("connect: refused", {code = "ECONNREFUSED"})
  equal(format(e), "OSError (ECONNREFUSED): " .. tostring(e))
  local Mine = asyncio.Error:extend "Mine"
  local mine = Mine.new "x"
  equal(format {mine, Mine}, ("{Mine: %s, class Mine}"):format(mine))
end)

test("objects of the library are told in a word", function()
  local q = asyncio.PriorityQueue(3)
  q:put_nowait(1)
  equal(format {q, asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(2),
    asyncio.Barrier(3), asyncio.ContextVar "user"},
    "{\n  PriorityQueue (1 item),\n  Lock (free),\n  Event (not set),\n" ..
    "  Semaphore (2 free),\n  Barrier (0 of 3 are there),\n" ..
    "  ContextVar 'user'\n}")
  equal(format(coroutine.create(print)):match "%b()", "(suspended)")
end)

test("the private fields of modules and objects are not shown", function()
  local text = format(asyncio)
  assert(text:find("TaskGroup = function asyncio.TaskGroup", 1, true))
  assert(text:find "%.%.%. %d+ more" and not text:find "\n  _")
  equal(format(setmetatable({_x = 1, y = 2}, {__name = "Thing"})),
    "Thing {y = 2, ... 1 more}")
  equal(format {_x = 1}, "{_x = 1}")
end)

test("lines are broken by what is seen, not by colours", function()
  local t = {alpha = 1, beta = {1, 2, 3}}
  local text = format(t, {width = 22, colour = true})
  equal(text:gsub("\27%[%d*m", ""), format(t, {width = 22}))
  equal(format(t, {width = 22}), "{\n  alpha = 1,\n  beta = {1, 2, 3}\n}")
end)

test("short items of a list share their lines", function()
  local t = {}
  for i = 1, 30 do t[i] = i end
  t.name = {1, {2}}
  local text = format(t, {width = 30})
  equal(text, "{\n  1, 2, 3, 4, 5, 6, 7, 8, 9,\n" ..
    "  10, 11, 12, 13, 14, 15, 16,\n  17, 18, 19, 20, 21, 22, 23,\n" ..
    "  24, 25, 26, 27, 28, 29, 30,\n  name = {1, {2}}\n}")
  for line in text:gmatch "[^\n]+" do assert(#line <= 30) end
end)

test("what fails in __tostring does not fail here", function()
  local bad = setmetatable({}, {__tostring = function() error "no" end})
  equal(format {bad}, "{<table whose __tostring fails>}")
end)

test("help finds what a value is, whatever it is", async function()
  local help = require "neap.repl.help"
  local function first(value) return help.text(value):match "[^\n]*" end
  local process = require "neap.process"
  local child <close> = process.spawn{"true"}
  await child:wait()
  equal(first(child), "child")
  equal(first(child.wait), "async child:wait() -> status, signal")
  equal(first(asyncio.Queue().empty), "queue:qsize() -> integer")
  equal(first(await), "The two words")
  equal(first(async), "The two words")
  local sleep = asyncio.sleep(0)
  equal(first(sleep), "Calling and awaiting")
  await sleep
  assert(first(asyncio.Error.new "x"):find "^asyncio.Error, ")
  equal(first "", 'nothing is written about ""')
end)
