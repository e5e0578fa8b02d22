-- Interactive mode on a pipe: what is read is shown after its prompt.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, run, equal, has = cli.test, cli.run, cli.equal, cli.has

-- The session without the line of the version.
local function session(input, what)
  what = what or {}
  what[#what + 1] = "-i"
  what.input = input
  local status, out, err = run(what)
  equal(status, 0)
  return out:match "^Lua 5%.4[^\n]*PUC%-Rio[^\n]*\n(.*)$", err
end

local function shows(wanted, input, what)
  local out, err = session(input, what)
  equal(out, wanted)
  equal(err, "")
end

test("expressions are printed, statements are not", function()
  shows("> 1 + 1\n2\n> a = 2\n> a\n2\n> \n", "1 + 1\na = 2\na\n")
  shows("> 1, nil, 'x'\n1\tnil\tx\n> nil\nnil\n> \n", "1, nil, 'x'\nnil\n")
  shows("> (function() end)()\n> \n", "(function() end)()\n")
  shows("> return 5\n5\n> \n", "return 5\n")
  shows("> =7\n7\n> = 8, 9\n8\t9\n> \n", "=7\n= 8, 9\n")
end)

test("empty lines and comments are nothing", function()
  shows("> \n> --\n> \n", "\n--\n")
end)

test("the last line need not end", function()
  shows("> 3\n3\n> \n", "3")
  shows("> \n", "")
end)

test("a statement takes the lines that it needs", function()
  shows("> function f(x)\n>> return x * 2\n>> end\n> f(4)\n8\n> \n",
    "function f(x)\nreturn x * 2\nend\nf(4)\n")
  shows("> return 3 +\n>> 4\n7\n> \n", "return 3 +\n4\n")
  shows("> =3 +\n>> 4\n7\n> \n", "=3 +\n4\n")
  shows("> a = [[x\n>> \n>> y]]\n> a\nx\n\ny\n> \n",
    "a = [[x\n\ny]]\na\n")
end)

test("each line has locals of its own", function()
  shows("> local a = 1\n> a\nnil\n> local b = 2; print(b)\n2\n> \n",
    "local a = 1\na\nlocal b = 2; print(b)\n")
end)

test("a line stands before what it writes to stderr", function()
  local path = cli.path "both"
  run{"-i", input = "io.stderr:write 'told'\n",
    redirect = (">>%s 2>>%s"):format(path, path)}
  has(cli.read(path), "> io.stderr:write 'told'\ntold")
end)

test("an error is told without a name and does not end it", function()
  local out, err = session "error 'x'\n1\n"
  equal(out, "> error 'x'\n> 1\n1\n> \n")
  equal(err, "stdin:1: x\nstack traceback:\n\t[C]: in function 'error'\n"
    .. "\tstdin:1: in main chunk\n" .. cli.bottom)
  out, err = session "x = = 1\nerror{}\n1\n"
  equal(out, "> x = = 1\n> error{}\n> 1\n1\n> \n")
  has(err, "stdin:1: unexpected symbol near '='\n")
  has(err, "(error object is a table value)\n")
end)

test("an error on a later line has its number", function()
  local out, err = session "x = function(\n1 2\n5\n"
  equal(out, "> x = function(\n>> 1 2\n> 5\n5\n> \n")
  equal(err, "stdin:2: <name> or '...' expected near '1'\n")
end)

test("a statement that the end cuts off is an error", function()
  local out, err = session "for i = 1, 2 do\n"
  equal(out, "> for i = 1, 2 do\n>> > \n")
  if cli.is_neap then has(err, "near <eof>\n") end
end)

test("the prompts are globals of any kind", function()
  shows("aloa = 1\nalo\n", "a = 1\n",
    {"-e", "_PROMPT = 'alo'"})
  shows("1 --\n2a = 2\n3\n", " --\na = 2\n", {"-e", [[
    local C = 0
    _PROMPT = setmetatable({}, {__tostring = function ()
      C = C + 1; return C
    end})]]})
  shows("> do\n..end\n> \n", "do\nend\n", {"-e", "_PROMPT2 = '..'"})
  shows("10do\n20end\n10\n", "do\nend\n",
    {"-e", "_PROMPT, _PROMPT2 = 10, 20"})
end)

test("the script and the options run before it", function()
  shows("5\n> x, arg[1]\n7\ta\n> \n", "x, arg[1]\n",
    {"-e", "print(5)", "-i", cli.script "x = 7", "a", ""})
  local _, out = run{"-i", "-e", "x = 1", input = "x\n"}
  has(out, "> x\n1\n> \n")
end)

test("an error of the script ends it all", function()
  local status, out = run{"-i", cli.script "error 'x'", input = "print(1)\n"}
  equal(status, 1)
  equal(out:match "\n(.*)$", "")
end)

test("the global print prints", function()
  shows("> print = function(...) io.write('<', ..., '>\\n') end\n> 1\n<1>\n"
    .. "> \n", "print = function(...) io.write('<', ..., '>\\n') end\n1\n")
end)

test("an error of print is told", function()
  local out, err = session(
    "print = nil\n1\nprint = function() error('no', 0) end\n2\nprint = 3\n")
  equal(err, "error calling 'print' (attempt to call a nil value)\n"
    .. "error calling 'print' (no)\n")
  has(out, "> 2\n")
end)

test("values are printed by their __tostring", function()
  local input = "setmetatable({}, {__tostring = function() return 'hi' end})"
  shows("> " .. input .. "\nhi\n> \n", input .. "\n")
  input = "setmetatable({}, {__tostring = function() error('x', 0) end})"
  local out, err = session(input .. "\n")
  equal(out, "> " .. input .. "\n> \n")
  equal(err, "error calling 'print' (x)\n")
end)

test("an error of the prompt ends it", function()
  local status, _, err = run{"-i", input = "_PROMPT = setmetatable({}, "
    .. "{__tostring = function() error('no', 0) end})\n1\n"}
  equal(err, "no\n")
  equal(status, 1)
end)

test("os.exit ends it", function()
  local status, out = run{"-i", input = "os.exit(5)\nprint(1)\n"}
  equal(status, 5)
  has(out, "> os.exit(5)\n")
  status, out = run{"-i", input = "os.exit(6, true)\nprint(1)\n"}
  equal(status, 6)
  equal(out:match "\n(.*)$", "> os.exit(6, true)\n")
end)

if not cli.is_neap then cli.finish() return end

test("a line can read the input", function()
  shows("> io.read()\nnext\n> 1\n1\n> \n", "io.read()\nnext\n1\n")
end)

test("a line can be of any length", function()
  local long = ("x"):rep(100000)
  shows(("> #'%s'\n100000\n> \n"):format(long), "#'" .. long .. "'\n")
end)

test("a line can await", function()
  shows("> await asyncio.sleep(0, 'woken')\nwoken\n> \n",
    "await asyncio.sleep(0, 'woken')\n")
  shows("> async function f(x)\n>> await asyncio.sleep(0)\n>> return x\n"
    .. ">> end\n> await f(3)\n3\n> x = await f(4)\n> x\n4\n> \n",
    "async function f(x)\nawait asyncio.sleep(0)\nreturn x\nend\n"
    .. "await f(3)\nx = await f(4)\nx\n")
end)

test("a task lives from one line to the next", function()
  shows("> t = asyncio.create_task(asyncio.sleep(0, 5))\n> await t\n5\n> \n",
    "t = asyncio.create_task(asyncio.sleep(0, 5))\nawait t\n")
end)

cli.finish()
