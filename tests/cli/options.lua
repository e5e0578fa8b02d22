-- The options that lua has, as the manual's section 7 tells them.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, run, equal, has = cli.test, cli.run, cli.equal, cli.has

-- Runs and expects success with this output and nothing on stderr.
local function gives(wanted, what)
  local status, out, err = run(what)
  if status ~= 0 or out ~= wanted or err ~= "" then
    error(("status %s\n  expected %q\n  got      %q\n  stderr %s"):format(
      status, wanted, out, err), 2)
  end
end

local function refuses(wanted, what)
  local status, out, err = run(what)
  equal(out, "")
  has(err, wanted)
  equal(status, 1)
end

test("-e runs its argument, beside it or after it", function()
  gives("1\n", {"-e", "print(1)"})
  gives("1\n", {"-eprint(1)"})
  gives("1\n", {"-e print(1)"})
  gives("1\n2\n3\n", {"-e", "a = 1 print(a)", "-eb = 2 print(b)",
    "-e", "print(a + b)"})
  gives("", {"-e", ""})
end)

test("-e may return what it likes", function()
  gives("", {"-e", "return 1, nil, 'x'"})
  gives("", {"-e", "return false"})
end)

test("the chunk of -e is the command line", function()
  gives("=(command line)\t(command line)\n", {"-e",
    "local i = debug.getinfo(1, 'S') print(i.source, i.short_src)"})
end)

test("-e and -l without an argument are refused", function()
  refuses("'-e' needs argument", {"-e"})
  refuses("'-l' needs argument", {"-l"})
  refuses("'-e' needs argument", {"-e", "-v"})
  refuses("'-l' needs argument", {"-l", "--"})
  refuses("'-e' needs argument", {"-e", "print(1)", "-e"})
end)

test("what is no option is refused before anything runs", function()
  refuses("unrecognized option '-h'", {"-h"})
  refuses("unrecognized option '---'", {"---"})
  refuses("unrecognized option '-Ex'", {"-Ex"})
  refuses("unrecognized option '-vv'", {"-vv"})
  refuses("unrecognized option '-iv'", {"-iv"})
  refuses("unrecognized option '-Wx'", {"-Wx"})
  refuses("unrecognized option '--x'", {"-e", "print(1)", "--x", "y.lua"})
  refuses("unrecognized option '-?'", {"-v", "-?"})
  refuses("\nusage: ", {"-h"})
end)

test("a message about the command line begins with the name", function()
  local _, _, err = run{"-h"}
  equal(err:match "^(.-): unrec", cli.name)
  _, _, err = run{"-e"}
  equal(err:match "^(.-): '%-e'", cli.name)
end)

test("a script's own options are not looked at", function()
  local script = cli.script "print(...)"
  gives("-h\t--x\t-e\n", {script, "-h", "--x", "-e"})
  gives("-h\n", {"-e", "", "--", script, "-h"})
end)

test("-v prints one line that begins with Lua's name", function()
  local status, out, err = run{"-v"}
  equal(status, 0)
  equal(err, "")
  has(out, _VERSION)
  equal(out:find("Lua 5.4", 1, true), 1)
  has(out, "Lua.org, PUC-Rio")
  equal(select(2, out:gsub("\n", "")), 1)
end)

test("-v comes first and does not hinder the rest", function()
  local _, version = run{"-v"}
  gives(version .. "1\n", {"-e", "print(1)", "-v"})
  gives(version .. "x\n", {"-v", cli.script "print 'x'"})
  gives(version, {"-v", input = "print 'not run'"})
  gives(version, {"-v", "-v", "-W"})
end)

test("-l requires into a global", function()
  cli.write(cli.path "somemod.lua", "print(...) return {x = 42}")
  local env = "LUA_PATH='" .. cli.path "?.lua" .. "'"
  gives("somemod\t" .. cli.path "somemod.lua" .. "\n42\n",
    {"-l", "somemod", "-e", "print(somemod.x)", env = env})
  gives("somemod\t" .. cli.path "somemod.lua" .. "\n42\ttrue\n",
    {"-lsomemod", "-e", "print(somemod.x, package.loaded.somemod == somemod)",
      env = env})
  gives("somemod\t" .. cli.path "somemod.lua" .. "\n42\tnil\n",
    {"-l", "m=somemod", "-e", "print(m.x, somemod)", env = env})
  gives("true\n", {"-ls=string", "-e", "print(s == string)"})
  gives("true\n", {"-lstring", "-lm=math", "-e", "print(m == math)"})
end)

test("-l of a module that is not there is an error", function()
  refuses("module 'no.such.module' not found:", {"-l", "no.such.module"})
  refuses("no field package.preload['no.such.module']",
    {"-l", "no.such.module"})
end)

test("-l of a module that is wrong or fails is an error", function()
  local env = "LUA_PATH='" .. cli.path "?.lua" .. "'"
  cli.write(cli.path "wrongmod.lua", "x = = 1")
  cli.write(cli.path "badmod.lua", "\nerror 'bad'")
  refuses("error loading module 'wrongmod' from file '"
    .. cli.path "wrongmod.lua", {"-l", "wrongmod", env = env})
  refuses("badmod.lua:2: bad", {"-l", "badmod", env = env})
end)

test("-e and -l run in their order, and an error ends it", function()
  cli.write(cli.path "seen.lua", "print(before) return true")
  local env = "LUA_PATH='" .. cli.path "?.lua" .. "'"
  gives("1\n", {"-e", "before = 1", "-l", "seen", env = env})
  gives("nil\n", {"-l", "seen", "-e", "before = 1", env = env})
  local status, out, err = run{"-e", "print(1)", "-e", "error 'x'",
    "-e", "print(2)", cli.script "print(3)"}
  equal(out, "1\n")
  equal(status, 1)
  has(err, cli.name .. ": (command line):1: x\nstack traceback:\n")
end)

test("a global that require's name was changed to is called", function()
  gives("x\n", {"-e", "function require(n) return n end", "-lx",
    "-e", "print(x)"})
end)

test("-W turns warnings on, from there", function()
  local status, out, err = run{"-e", "warn 'a'", "-W", "-e", "warn('b', 'c')"}
  equal(status, 0)
  equal(out, "")
  equal(err, "Lua warning: bc\n")
end)

test("warnings are off until told", function()
  local _, _, err = run{"-e", [[
    warn "XXX"
    warn("@on")
    warn("1", "2")
    warn("@unknown")
    warn("@off")
    warn "3"
    warn("@on", "4")
    warn("5")
    warn("@on")
    warn("@", "on")
    warn("6")]]}
  equal(err, "Lua warning: 12\nLua warning: @on\nLua warning: 6\n")
end)

test("an error in a finalizer is a warning", function()
  local status, out, err = run{"-W", "-e", [[
    setmetatable({}, {__gc = function() error("in gc") end})
    collectgarbage()
    setmetatable({}, {__gc = function() error({}) end})]]}
  equal(status, 0)
  equal(out, "")
  local one, two = err:match "^(.-\n)(.*)$"
  equal(one, "Lua warning: error in __gc ((command line):1: in gc)\n")
  equal(two, "Lua warning: error in __gc (error object is not a string)\n")
end)

test("- is standard input, with arguments", function()
  gives("-\ta\tb\n", {"-", "a", "b", input = "print(arg[0], ...)"})
  gives("a\n", {"-e", "", "-", "a", input = "print(...)"})
  gives("=stdin\tmain\n", {"-",
    input = "local i = debug.getinfo(1) print(i.source, i.what)"})
end)

test("after -- a - is a file's name", function()
  refuses("cannot open -", {"--", "-", input = "print(1)"})
  gives("", {"--", input = ""})
end)

test("alone with a pipe, standard input is the script", function()
  gives("1\n0\n", {input = "print(1) print(select('#', ...))"})
  gives("1\n", {"--", input = "print(1)"})
  gives("1\n", {"-E", input = "#!/usr/bin/lua\nprint(1)"})
  gives("1\n", {"-W", input = "print(1)"})
end)

test("with -e standard input is left alone", function()
  gives("hello\n", {"-e", "print(io.read())", input = "hello\nyou\n"})
end)

test("a script may begin with a line with # or a mark", function()
  gives("2\n", {cli.script
    "#!/usr/bin/env neap\nprint(debug.getinfo(1).currentline)"})
  gives("2\n", {cli.script
    "\xEF\xBB\xBF#!x\nprint(debug.getinfo(1).currentline)"})
  gives("1\n", {cli.script
    "\xEF\xBB\xBFprint(debug.getinfo(1).currentline)"})
  gives("", {cli.script "#"})
  gives("", {cli.script "# no end of line"})
  gives("", {cli.script ""})
  gives("1\n", {cli.script "\n\nprint(1)  -- no end"})
end)

test("a compiled script runs", function()
  local text = string.dump(assert(load("print(...) return 1", "@x")))
  gives("a\tb\n", {cli.script(text), "a", "b"})
  gives("a\n", {cli.script("# compiled\n" .. text), "a"})
  gives("\n", {input = text})
  refuses("truncated", {cli.script(text:sub(1, -5))})
end)

test("a script that is not there or no file is an error", function()
  local status, out, err = run{cli.path "nothing.lua"}
  equal(status, 1)
  equal(out, "")
  equal(err, cli.name .. ": cannot open " .. cli.path "nothing.lua"
    .. ": No such file or directory\n")
  refuses("cannot read " .. cli.scratch .. ": Is a directory", {cli.scratch})
end)

test("a syntax error has no traceback", function()
  local status, out, err = run{"-e", "a"}
  equal(status, 1)
  equal(out, "")
  equal(err,
    cli.name .. ": (command line):1: syntax error near <eof>\n")
  local script = cli.script "x = 1\nx = = 2"
  _, _, err = run{script}
  equal(err, ("%s: %s:2: unexpected symbol near '='%s\n"):format(cli.name,
    script, cli.shown "x = = 2"))
end)

cli.finish()
