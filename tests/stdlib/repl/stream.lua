-- A session over a stream, and what a host can do with the module.

local repl = require "neap.repl"
local net = require "neap.net"

-- What a session answers to the lines, after which the other side shuts down.
local function talk(lines, options)
  local ours <close>, theirs = net.pair()
  options = options or {}
  options.stream = theirs
  local task = asyncio.create_task(repl.run(options))
  await ours:write(lines)
  await ours:shutdown()
  equal(await task, true)
  theirs:close()
  return await ours:read_all()
end

test("a session over a stream", async function()
  equal(talk "1 + 1\r\nx_of_stream = 3\nx_of_stream\n",
    "> 2\n> > 3\n> \n")
  equal(x_of_stream, 3)
  x_of_stream = nil
end)

test("its print and its _ are its own", async function()
  local env = {}
  equal(talk("5\nprint(_, 'x')\nlocal a = 1\nfor i = 1, 2 do\nprint(i)\nend\n",
    {env = setmetatable(env, {__index = _G}), banner = "hello"}),
    "hello\n> 5\n> 5\tx\n> > >> >> 1\n2\n> \n")
  equal(env, {a = 1})
  equal(_, nil)
end)

test("errors are told there", async function()
  local text = talk "error 'x'\nx = =\nerror(nil)\nnil + 1\n"
  assert(text:find("> stdin:1: x\nstack traceback:\n", 1, true), text)
  assert(text:find("> stdin:1: unexpected symbol near '='\n", 1, true), text)
  assert(not text:find("stdlib/repl", 1, true), text)
end)

test("a session ends when the other side is gone", async function()
  local ours, theirs = net.pair()
  local task = asyncio.create_task(repl.run{stream = theirs})
  await ours:write "for i = 1, 1e5 do print(i) await asyncio.sleep(0) end\n"
  await ours:read_until "10\n"
  ours:close()
  equal(await task, true)
  theirs:close()
end)

test("cancelling a session cancels its line", async function()
  local ours, theirs <close> = net.pair()
  local env = setmetatable({}, {__index = _G})
  local task = asyncio.create_task(repl.run{stream = theirs, env = env})
  await ours:write("local _ <close> = asyncio.defer(function() cleaned = 1 end)"
    .. " await asyncio.sleep(100)\n")
  await ours:read_until "> "
  await asyncio.sleep(0.02)
  task:cancel()
  expect_error(asyncio.CancelledError, await, task)
  equal(env.cleaned, 1)
  ours:close()
end)

test("without a terminal there is no session", async function()
  equal(await repl.run(), false)
end)

test("wrong options are named", async function()
  expect_error("unknown option 'steam'", function()
    await repl.run{steam = 1}
  end)
  expect_error("option 'env' of repl.run must be a table, not a number",
    function() await repl.run{env = 1} end)
end)

test("format", async function()
  equal(repl.format {1, {2}, a = "b"}, '{1, {2}, a = "b"}')
  equal(repl.format "a\0\n\xFF", '"a\\0\\n\\xFF"')
  equal(repl.format(("é"):rep(2000)):sub(-17), '"... (4000 bytes)')
  equal(repl.format(setmetatable({}, {__tostring = function() return {} end})),
    "<table whose __tostring fails>")
  equal(repl.format(setmetatable({1}, {__name = "Point"})), "Point {1}")
  equal(repl.format {["end"] = 1, [true] = 2, [1.5] = 3},
    '{[1.5] = 3, ["end"] = 1, [true] = 2}')
  local deep = {}
  for _ = 1, 50 do deep = {deep} end
  equal(repl.format(deep), "{{{{{{{...}}}}}}}")
  local wide = {}
  for i = 1, 200 do
    wide[i] = {}
    for j = 1, 200 do wide[i][j] = {j} end
  end
  assert(#repl.format(wide) < 200000)
end)
