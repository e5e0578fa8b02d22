-- A session at a terminal, as a person sees it.

local open = dofile "tests/stdlib/repl/terminal/screen.lua"

-- What is on the screen below the line with the version.
local function below(t)
  return t:text():gsub("^Lua .-0%)\n", "", 1)
end

local function session(lines, options)
  local t <close> = open(options)
  t:see "\n>"
  t:type(lines)
  t:key "\4"
  equal(t:ends(), 0)
  return below(t), t
end

test("expressions print their values", async function()
  equal(session "1 + 1\n'a\\n', nil, true\nprint 'x'\n",
    '> 1 + 1\n2\n> \'a\\n\', nil, true\n"a\\n"   nil     true\n'
    .. "> print 'x'\nx\n> ^D")
end)

test("tables are sorted, nested, cyclic and shortened", async function()
  equal(session "{3, 2, b={1}, a='x', [10]=1.5, ['x y']=2}\n",
    "> {3, 2, b={1}, a='x', [10]=1.5, ['x y']=2}\n"
    .. '{3, 2, [10] = 1.5, a = "x", b = {1}, ["x y"] = 2}\n> ^D')
  local text = session "t = {} t.t = t\nt\n"
  assert(text:find("{t = <cycle>}", 1, true))
  text = session "t = {} for i = 1, 1000 do t[i] = i end\nt\n"
  assert(text:find("... 900 more", 1, true))
end)

test("a narrow terminal breaks a table's lines", async function()
  equal(session("{alpha='one', beta={1, 2}, gamma=3}\n", {cols = 36}),
    "> {alpha='one', beta={1, 2}, gamma=3\n}\n"
    .. '{\n  alpha = "one",\n  beta = {1, 2},\n  gamma = 3\n}\n> ^D')
end)

test("await works", async function()
  equal(session "await asyncio.sleep(0.01, 'woken')\n",
    "> await asyncio.sleep(0.01, 'woken')\n\"woken\"\n> ^D")
end)

test("a statement takes the lines that it needs", async function()
  equal(session "for i = 1, 2 do\nprint(i)\nend\n",
    "> for i = 1, 2 do\n>> print(i)\n>> end\n1\n2\n> ^D")
end)

test("_ holds the last values", async function()
  equal(session "5, 6\n_ + _2\n_2\n",
    "> 5, 6\n5       6\n> _ + _2\n11\n> _2\nnil\n> ^D")
end)

test("locals of a line are there in the next one", async function()
  equal(session "local x, y <const> = 1, 2\nx + y\n",
    "> local x, y <const> = 1, 2\n> x + y\n3\n> ^D")
  equal(session "local function f() return 7 end return 8\nf()\n",
    "> local function f() return 7 end return 8\n8\n> f()\n7\n> ^D")
  equal(session "local async function g() return 3 end\nawait g()\n",
    "> local async function g() return 3 end\n> await g()\n3\n> ^D")
  equal(session "do local z = 1 end\nz\n",
    "> do local z = 1 end\n> z\nnil\n> ^D")
end)

test("an error has its traceback and does not end it", async function()
  equal(session "error 'x'\nx = = 1\n1\n",
    "> error 'x'\nstdin:1: x\nstack traceback:\n"
    .. "        [C]: in function 'error'\n        stdin:1: in main chunk\n"
    .. "> x = = 1\nstdin:1: unexpected symbol near '='\n> 1\n1\n> ^D")
end)

test("what a task prints does not garble the line", async function()
  local t <close> = open()
  t:see "\n>"
  t:type("asyncio.create_task((async function() for i = 1, 8 do"
    .. " print('tick', i) await asyncio.sleep(0.05) end end)()) x = 1\n")
  t:see "tick    2"
  t:type "y = 'typed whi"
  t:see "tick    4"
  t:type "le it ticks' z"
  t:see "tick    6"
  t:type "\127\n"
  t:see "tick    8"
  t:key "y\n"
  t:see '"typed while it ticks"'
  local text = t:text()
  for i = 1, 8 do assert(text:find(("\ntick    %d\n"):format(i))) end
  equal(select(2, text:gsub("y = 'typed while it ticks'\n", "")), 1)
  equal(select(2, text:gsub("typed", "")), 2)
end)

test("a line of several rows is redrawn as well", async function()
  local t <close> = open{cols = 30}
  t:see "\n>"
  t:type "l = asyncio.get_running_loop()\n"
  t:key "l:call_later(0.2, function() io.stderr:write 'now\\n' end)\n"
  t:see "asyncio.Handle"
  t:key(("abcdefghij"):rep(7))
  t:see "\nnow\n> abc"
  t:key "\1X = '\5'\n"
  t:key "#X\n"
  t:see "\n70\n"
  assert(t:text():find("\nnow\n> X = 'abcdefghijabcdefghijabc\n",
    1, true))
end)

test("Ctrl-C gives the line up", async function()
  local t <close> = open()
  t:see "\n>"
  t:key "print 'never"
  t:key "\3"
  t:see "never^C\n>"
  t:key "for i = 1, 2 do\n"
  t:key "\3"
  t:see ">> ^C\n>"
  t:key "1 + 1\n"
  t:see "\n2\n"
end)

test("Ctrl-C cancels what waits and what computes", async function()
  local t <close> = open()
  t:see "\n>"
  t:key "await asyncio.sleep(100)\n"
  t:key "\3"
  t:see "^Ccancelled"
  t:key "while true do pcall(function() while true do end end) end\n"
  await asyncio.sleep(0.1)
  t:key "\3"
  t:see "do end end) end\n^Ccancelled\n>"
  t:key "1 + 1\n"
  t:see "\n2\n"
end)

test("Ctrl-D cleans up what still runs", async function()
  local t <close> = open()
  t:see "\n>"
  t:key("async function f() local _ <close> = asyncio.defer(function()"
    .. " await asyncio.sleep(0.01) print 'cleaned' end)"
    .. " await asyncio.sleep(100) end\n")
  t:key "t = asyncio.create_task(f())\n"
  t:key "\4"
  equal(t:ends(), 0)
  equal(t:last(), "cleaned")
end)

test("os.exit ends it, also in a task while a line is edited", async function()
  local t <close> = open()
  t:see "\n>"
  t:key "io.write 'bye' os.exit(7)\n"
  equal(t:ends(), 7)
  equal(t:last(), "bye")
  local u <close> = open()
  u:see "\n>"
  u:key("asyncio.get_running_loop():call_later(0.1, function()"
    .. " print 'bye' os.exit(6) end)\n")
  equal(u:ends(), 6)
  assert(u:text():find "\nbye")
end)

test("a thousand lines can be pasted", async function()
  local t <close> = open()
  t:see "\n>"
  local lines = {}
  for i = 1, 995 do lines[i] = ("x = (x or 0) + %d\n"):format(i) end
  lines[#lines + 1] = "function f()\n\tif x then\n\t\treturn '\t'\n\tend\nend\n"
  t:type(table.concat(lines) .. "x, f()\n")
  t:see "\n495510  \"\\t\"\n"
end)

test("text that is not ASCII", async function()
  local t <close> = open()
  t:see "\n>"
  t:key "s = 'é日本x€'"
  t:key "\27[D\27[D\27[D\127\n"
  t:key "s\n"
  t:see '"é日x€"'
end)

test("help tells what the pages say", async function()
  local t <close> = open{rows = 60, cols = 100}
  t:see "\n>"
  t:key "help(asyncio.sleep)\n"
  t:see "async asyncio.sleep(seconds [, value]) -> value\n"
  t:key "help(string.rep)\n"
  t:see "pdf-string.rep"
  t:key "help 'nosuch'\n"
  t:see 'nothing is written about "nosuch"'
  t:key "help()\n"
  t:see "Ctrl-D       ends"
end)

test("colours are there unless NO_COLOR is set", async function()
  local _, plain = session "1\n"
  assert(not plain.raw:find "\27%[33m")
  local _, coloured = session("1\n", {env = {NO_COLOR = ""}})
  assert(coloured.raw:find("\27[33m1\27[0m", 1, true))
  local _, dumb = session("1\n", {env = {NO_COLOR = "", TERM = "dumb"}})
  assert(not dumb.raw:find "\27")
end)

test("a stop and another size of the window are survived", async function()
  local t <close> = open()
  t:see "\n>"
  t:key "x = 'before"
  t.child:kill "SIGSTOP"
  t.child:kill "SIGCONT"
  t:key " and after'"
  t.child:resize(20, 60)
  t:key "\n"
  t:key "x\n"
  t:see '"before and after"'
end)

test("the input of a line that reads is the terminal", async function()
  local t <close> = open()
  t:see "\n>"
  t:type "io.read()\nabc\n"
  t:see '"abc"'
end)

test("the script and the options come first", async function()
  local t <close> = open{argv = {"-i", "-e", "x = 5"}}
  t:see "\n>"
  t:key "x\n"
  t:see "\n5\n"
end)
