-- A session at a terminal, as a person sees it.

local open = dofile "tests/stdlib/repl/terminal/screen.lua"

-- What is on the screen below the lines that it begins with.
local function below(t)
  return t:text():gsub("^Lua .-0%)\nhelp%(%) tells [^\n]*\n", "", 1)
end

-- Enters the lines, each at its prompt, and ends the session.
local function session(lines, options)
  local t <close> = open(options)
  for line in lines:gmatch "(.-)\n" do t:enter(line) end
  t:prompt()
  t:type "\4"
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

test("a string ends in its line, a long one where it ends", async function()
  equal((session "x = 'abc\n'a\\\nb'\n[[c\nd]]\n"), [=[
> x = 'abc
stdin:1: unfinished string near ''abc'
> 'a\
>> b'
"a\nb"
> [[c
>> d]]
"c\nd"
> ^D]=])
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
  t:enter "go = asyncio.Event()"
  -- It goes on when the test has seen what it wants to see.
  t:enter "async function tick() for i = 1, 8 do print('tick', i)"
  t:enter "await go:wait() go:clear() end end"
  t:enter "asyncio.create_task(tick()) x = 1"
  t:see "\ntick    1\n"
  t:enter "asyncio.create_task((async function() while true do"
  t:enter "await asyncio.sleep(0.05) go:set() end end)()) x = 1"
  t:put "y = 'typed whi"
  t:see "\ntick    5\n"
  t:type "le it ticks' z"
  t:at "> y = 'typed while it ticks' z"
  t:see "\ntick    8\n"
  t:type "\127\n"
  t:enter "y"
  t:see '"typed while it ticks"'
  local text = t:text()
  for i = 1, 8 do assert(text:find(("\ntick    %d\n"):format(i))) end
  equal(select(2, text:gsub("y = 'typed while it ticks' ?\n", "")), 1)
  equal(select(2, text:gsub("'typed", "")), 1)
end)

test("a line of several rows is redrawn as well", async function()
  local t <close> = open{cols = 30}
  t:enter "go = asyncio.Event()"
  t:enter "async function f() await go:wait() print 'now' end"
  t:enter "n = asyncio.create_task(f()) n = nil"
  t:enter "asyncio.get_running_loop():call_later(0.1, go.set, go) n = 1"
  t:put(("abcdefghij"):rep(7))
  t:see "\nnow\n> abc"
  t:type "\1X = '\5'\n"
  t:enter "#X"
  t:see "\n70\n"
  assert(t:text():find("\n> X = 'abcdefghijabcdefghijabc\n", 1, true))
end)

test("wide characters that do not fit in a row are counted", async function()
  local t <close> = open{cols = 20}
  t:enter "go = asyncio.Event()"
  t:enter "async function f() await go:wait() print 'now' end"
  t:enter "n = asyncio.create_task(f()) n = nil"
  t:enter "asyncio.get_running_loop():call_later(0.1, go.set, go) n = 1"
  t:put("x = 'abc" .. ("日"):rep(15))
  t:see "\nnow\n> x ="
  equal(select(2, t:text():gsub("> x = 'abc", "")), 1)
end)

test("a prompt begins its row, whatever was written before", async function()
  local t <close> = open()
  t:enter "io.write 'unfinished' x = 1"
  t:enter "io.stderr:write(('x'):rep(79)) x = 1"
  t:enter "io.write(('y'):rep(80)) x = 1"
  t:enter "io.write 'z' x = 1"
  t:enter "x"
  t:see "\n1\n"
  assert(t:text():find("\nunfinished\n> io", 1, true))
  assert(t:text():find("\nz\n> x\n", 1, true))
  assert(t:text():find("x\n> io", 1, true))
  assert(t:text():find("y\n> io", 1, true))
end)

test("Ctrl-C gives the line up", async function()
  local t <close> = open()
  t:put "print 'never"
  t:type "\3"
  t:see "never^C\n>"
  t:enter "for i = 1, 2 do"
  equal(t:prompt(), ">> ")
  t:type "\3"
  t:see ">> ^C\n>"
  t:enter "1 + 1"
  t:see "\n2\n"
end)

test("Ctrl-C cancels what waits and what computes", async function()
  local t <close> = open()
  t:enter "print 'waits' await asyncio.sleep(100)"
  t:see "\nwaits"
  t:type "\3"
  t:see "^Ccancelled\n>"
  t:enter "f = function() print 'busy' while true do end end"
  t:enter "while true do pcall(f) end"
  t:see "\nbusy"
  t:type "\3"
  t:see "busy\n^Ccancelled\n>"
  t:enter "1 + 1"
  t:see "\n2\n"
end)

test("Ctrl-C between two lines does not end the session", async function()
  local t <close> = open()
  t:enter "function interrupt() n = (n or 0) + 1 if n > 1 then return '> ' end"
  t:enter "io.popen('kill -INT $PPID'):close()"
  t:enter "for _ = 1, 1e7 do end interrupted = false return '> ' end"
  t:enter "_PROMPT = setmetatable({}, {__tostring = interrupt})"
  t:enter "n > 1, interrupted"
  t:see "\ntrue    nil\n"
end)

test("Ctrl-D cleans up what still runs", async function()
  local t <close> = open()
  t:enter "async function clean() await asyncio.sleep(0.01) print 'cleaned' end"
  t:enter "async function f() local _ <close> = asyncio.defer(clean)"
  t:enter "print 'runs' await asyncio.sleep(100) end"
  t:enter "t = asyncio.create_task(f())"
  t:see "\nruns"
  t:prompt()
  t:type "\4"
  equal(t:ends(), 0)
  equal(t:last(), "cleaned")
end)

test("os.exit ends it, also in a task while a line is edited", async function()
  local t <close> = open()
  t:enter "io.write 'bye' os.exit(7)"
  equal(t:ends(), 7)
  equal(t:last(), "bye")
  local u <close> = open()
  u:enter "async function bye()"
  u:enter "await asyncio.sleep(0.1) print 'bye' os.exit(6) end"
  u:enter "u = asyncio.create_task(bye())"
  equal(u:ends(), 6)
  assert(u:text():find "\nbye")
end)

test("a thousand lines can be pasted", async function()
  local t <close> = open()
  t:prompt()
  local lines = {}
  for i = 1, 995 do lines[i] = ("x = (x or 0) + %d\n"):format(i) end
  lines[#lines + 1] = "function f()\n\tif x then\n\t\treturn '\t'\n\tend\nend\n"
  t:type(table.concat(lines) .. "x, f()\n")
  t:see "\n495510  \"\\t\"\n"
  -- Each was shown once.
  local text = t:text()
  for i = 1, 995 do
    assert(text:find(("\n> x = (x or 0) + %d\n"):format(i), 1, true))
  end
  equal(select(2, below(t):gsub("\n", "")), 995 + 5 + 1 + 1)
end)

test("text that is not ASCII", async function()
  local t <close> = open()
  t:put "s = 'é日本x€'"
  t:type "\27[D\27[D\27[D\127\n"
  t:enter "s"
  t:see '"é日x€"'
end)

test("help tells what the pages say", async function()
  local t <close> = open{rows = 60, cols = 100}
  t:enter "help(asyncio.sleep)"
  t:see "async asyncio.sleep(seconds [, value]) -> value\n"
  t:enter "help(string.rep)"
  t:see "pdf-string.rep"
  t:enter "help 'nosuch'"
  t:see 'nothing is written about "nosuch"'
  t:enter "help()"
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

test("prompts have colours, what is typed has none", async function()
  local t <close> = open{env = {NO_COLOR = ""}}
  t:enter "_PROMPT = '\\27[32m> \\27[0m'"
  assert(t.raw:find("\27[1m>\27[0m ", 1, true))
  t:enter "1"
  t:prompt()
  assert(t.raw:find("\27[32m>\27[0m ", 1, true))
end)

test("a stop and another size of the window are survived", async function()
  local t <close> = open()
  t:put "x = 'before"
  t.child:kill "SIGSTOP"
  t.child:kill "SIGCONT"
  t:type " and after'"
  t:at "> x = 'before and after'"
  t.child:resize(20, 60)
  t:type "\n"
  t:enter "x"
  t:see '"before and after"'
end)

test("the input of a line that reads is the terminal", async function()
  local t <close> = open()
  t:enter "print 'reads' return io.read()"
  t:see "\nreads"
  t:type "abc\n"
  t:see '\n"abc"\n'
end)

test("the script and the options come first", async function()
  local t <close> = open{argv = {"-i", "-e", "x = 5"}}
  t:enter "x"
  t:see "\n5\n"
end)

test("a signal that ends it leaves the terminal as it was", async function()
  for _, name in ipairs{"TERM", "HUP", "QUIT"} do
    local t <close> = open{after = "echo status $?; stty -a"}
    t:enter(("function stop() io.popen 'kill -%s $PPID' end"):format(name))
    t:enter "asyncio.get_running_loop():call_later(0.1, stop) x = 1"
    t:type "x = 'half a line"
    t:ends()
    local status = tonumber(t:text():match "status (%d+)")
    assert(status > 128, status)
    assert(t:text():find " icanon ", t:text())
    assert(t:text():find " echo ", t:text())
  end
end)

test("a program's own session sees every Ctrl-C, too", async function()
  local t <close> = open{argv = {"-e", "await require 'neap.repl'.run()"}}
  for _ = 1, 3 do
    t:put "never"
    t:type "\3"
    t:prompt()
  end
  t:enter "1 + 1"
  t:see "\n2\n"
  t:prompt()
  t:type "\4"
  equal(t:ends(), 0)
end)

test("globals that are gone do not harm it", async function()
  local t <close> = open()
  t:enter "local type, next, ipairs, pcall, error = 1, 2, 3, 4, 5"
  t:enter "table, os, math, utf8, tostring = {}"
  t:enter "{type, 'x'}"
  t:see '\n{1, "x"}\n'
  t:enter "nil + 1"
  t:see "arithmetic on a nil value"
  t:prompt()
  t:type "\4"
  equal(t:ends(), 0)
end)

test("a task may exit while a line ends", async function()
  local t <close> = open()
  t:enter "f = async(function() os.exit(4, true) end)"
  t:put "asyncio.create_task(f())"
  t:type "\n"
  equal(t:ends(), 4)
  assert(not t:text():find("neap: ", 1, true), t:text())
end)
