-- The table `arg` and the arguments of the chunk.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, run, equal, has = cli.test, cli.run, cli.equal, cli.has

local show = [[
  local low, high = 0, #arg
  while arg[low - 1] do low = low - 1 end
  local all = {}
  for i = low, high do all[#all + 1] = ("%d=%s"):format(i, arg[i]) end
  print(table.concat(all, " "))
]]

local function gives(wanted, what)
  local status, out, err = run(what)
  equal(err, "")
  equal(out, wanted)
  equal(status, 0)
end

test("arg has the script at 0 and what came before below", function()
  local script, me = cli.script(show), cli.interpreter
  gives(("-1=%s 0=%s\n"):format(me, script), {script})
  gives(("-1=%s 0=%s 1=a 2=b\n"):format(me, script), {script, "a", "b"})
  gives(("-4=%s -3=-e -2=x=1 -1=-- 0=%s 1=-- 2=-\n"):format(me, script),
    {"-e", "x=1", "--", script, "--", "-"})
end)

test("without a script the command is at 0", function()
  gives(("0=%s 1=-e 2=%s\n"):format(cli.interpreter, show), {"-e", show})
  gives(("0=%s\n"):format(cli.interpreter), {input = show})
  gives(("-1=%s 0=- 1=x\n"):format(cli.interpreter),
    {"-", "x", input = show})
end)

test("arguments may be empty or odd", function()
  gives("3\t\ta b\t'\n", {cli.script "print(#arg, ...)", "", "a b", "'"})
end)

test("the chunk's arguments are those of arg, as changed", function()
  local script = cli.script "print(select('#', ...), ...)"
  gives("2\ta\tb\n", {script, "a", "b"})
  gives("1\tx\n", {"-e", "arg = {'x', [0] = 'y'}", script, "a", "b"})
  gives("0\n", {"-e", "arg[1] = nil", script, "a"})
  gives("3\t1\t2\t3\n", {"-e",
    "arg = setmetatable({}, {__len = function() return 3 end})"
    .. "for i = 1, 3 do arg[i] = i end", script})
end)

test("arg that is not a table is an error", function()
  local status, out, err = run{"-e", "arg = 1", cli.script "print(1)"}
  equal(status, 1)
  equal(out, "")
  equal(err, cli.name .. ": 'arg' is not a table\n")
  status = run{"-e", "arg = nil", "-e", "print(1)"}
  equal(status, 0)
end)

test("arg is there for libraries and LUA_INIT", function()
  cli.write(cli.path "needsarg.lua", "print(assert(arg)[1])")
  gives("x\n", {"-l", "needsarg", "-", "x", input = "",
    env = "LUA_PATH='" .. cli.path "?.lua;;" .. "'"})
  gives("x\n", {cli.script "", "x", env = "LUA_INIT='print(arg[1])'"})
end)

test("a great number of arguments arrives", function()
  local script = cli.script "print(select('#', ...), #arg, (select(3000, ...)))"
  local what = {script}
  for i = 1, 3000 do what[#what + 1] = tostring(i) end
  gives("3000\t3000\t3000\n", what)
end)

test("too many arguments are an error", function()
  local status, _, err = run{"-e",
    "arg = setmetatable({}, {__len = function() return 10000000 end})",
    cli.script ""}
  equal(status, 1)
  has(err, "too many arguments to script")
end)

cli.finish()
