-- What the command has that lua has not: await everywhere, `neap translate`,
-- the long options, and how it ends with tasks that are left.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, run, equal, has = cli.test, cli.run, cli.equal, cli.has
local script = cli.script

if not cli.is_neap then cli.finish() return end

local function gives(wanted, what)
  local status, out, err = run(what)
  if status ~= 0 or out ~= wanted or err ~= "" then
    error(("status %s\n  expected %q\n  got      %q\n  stderr %s"):format(
      status, wanted, out, err), 2)
  end
end

local sleep = "print(await asyncio.sleep(0, 'woken'))"

test("await works wherever text is run", function()
  gives("woken\n", {script(sleep)})
  gives("woken\n", {input = sleep})
  gives("woken\n", {"-", input = sleep})
  gives("woken\nwoken\n", {"-e", sleep, "-e" .. sleep})
  gives("woken\n", {"-e", "", env = "LUA_INIT=" .. cli.quote(sleep)})
  gives("woken\n", {"-e", "", env = "LUA_INIT=@" .. script(sleep)})
  cli.write(cli.path "awaits.lua", sleep .. " return 7")
  gives("woken\n7\n", {"-l", "awaits", "-e", "print(awaits)",
    env = "LUA_PATH='" .. cli.path "?.lua" .. "'"})
end)

test("everything that is run is in a task", function()
  gives("true\n", {script "print(asyncio.current_task() ~= nil)"})
  gives("true\n", {"-e", "print(asyncio.current_task() ~= nil)"})
end)

test("a task of -e goes on while the script runs", function()
  gives("begin\nend of -e\nscript\nend of task\n", {"-e", [[
      done = asyncio.Event()
      task = asyncio.create_task((async function()
        print "begin"
        await done:wait()
        print "end of task"
      end)())
      await asyncio.sleep(0)
      print "end of -e"]],
    script [[print "script" done:set() await task]]})
end)

test("what a task was given that is cancelled unstarted is no loss", function()
  gives("false false\nran\nfalse\n", {script [[
    local async function given() print "ran" end
    local mine = given()
    local deep = asyncio.wait_for(asyncio.wait_for(given(), 1), 1)
    local a = asyncio.create_task(deep)
    local b = asyncio.create_task(asyncio.wait_for(mine, 1))
    a:cancel()
    b:cancel()
    io.write(tostring(pcall(await, a)), " ", tostring(pcall(await, b)), "\n")
    await mine
    local all = asyncio.gather(asyncio.wait_for(given(), 1))
    all:cancel()
    print((pcall(await, all)))]]})
end)

test("a machine that finds no descriptors says so", function()
  local pipe <close> = assert(io.popen("exec 2>&1; ulimit -n 6; "
    .. "exec " .. cli.quote(cli.interpreter) .. " -e 'print(1)'"))
  equal(pipe:read "l", "neap: cannot create state: Too many open files")
end)

test("the tasks that are left are cancelled and clean up", function()
  gives("end\ncleaned\n", {script [[
    local async function forever()
      local _ <close> = asyncio.defer(function()
        await asyncio.sleep(0)
        print "cleaned"
      end)
      await asyncio.sleep(1000)
    end
    asyncio.create_task(forever())
    await asyncio.sleep(0)
    print "end"]]})
end)

test("they clean up after an error, too", function()
  local status, out, err = run{script [[
    asyncio.create_task((async function()
      local _ <close> = asyncio.defer(function() print "cleaned" end)
      await asyncio.sleep(1000)
    end)())
    await asyncio.sleep(0)
    error "main"]]}
  equal(out, "cleaned\n")
  has(err, ":6: main\n    error \"main\"\nstack traceback:\n")
  equal(status, 1)
end)

test("an error that nobody retrieved makes the status 1", function()
  local status, out, err = run{script [[
    asyncio.create_task((async function() error "lost" end)())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    print "end"]]}
  equal(out, "end\n")
  has(err, "neap: ")
  has(err, "lost")
  equal(status, 1)
end)

test("an Error of neap's is told with its position", function()
  local path = script "\nerror(asyncio.Error.new('mine'))"
  local status, _, err = run{path}
  equal(err:match "^[^\n]*", ("neap: %s:2: mine"):format(path))
  has(err, "\nstack traceback:\n")
  equal(status, 1)
end)

test("os.exit in another task ends the program", function()
  local text = [[
    local _ <close> = asyncio.defer(function() print "main closed" end)
    asyncio.create_task((async function()
      local _ <close> = asyncio.defer(function() print "task closed" end)
      os.exit(3, true)
    end)())
    await asyncio.sleep(1000)
    print "not reached"]]
  local status, out, err = run{script(text)}
  equal(err, "")
  equal(status, 3)
  has(out, "task closed\n")
  has(out, "main closed\n")
  status = run{script(text:gsub(", true", ""))}
  equal(status, 3)
end)

test("--version and --help print and end", function()
  local status, out, err = run{"--version", "-e", "print(1)"}
  equal(status, 0)
  equal(err, "")
  equal(out:match "^neap %d+%.%d+%.%d+\nLua 5%.4[^\n]*\n$", out)
  status, out, err = run{"--help", cli.path "nothing"}
  equal(status, 0)
  equal(err, "")
  has(out, "usage: neap [options] [script [arguments]]\n")
  for _, option in ipairs{"-e", "-l", "-i", "-v", "-E", "-W", "--debug",
    "--version", "--help", "neap translate"} do
    has(out, option)
  end
end)

test("-v says which neap it is", function()
  local _, out = run{"-v"}
  equal(out:match "^Lua 5%.4[^\n]*PUC%-Rio %(neap %d+%.%d+%.%d+%)\n$", out)
end)

test("debug mode is --debug or NEAP_DEBUG", function()
  local show = "print(asyncio.get_running_loop():get_debug())"
  gives("false\n", {"-e", show})
  gives("true\n", {"--debug", "-e", show})
  gives("true\n", {"-e", show, env = "NEAP_DEBUG=1"})
  gives("false\n", {"-e", show, env = "NEAP_DEBUG=0"})
  gives("false\n", {"-e", show, env = "NEAP_DEBUG="})
  gives("false\n", {"-E", "-e", show, env = "NEAP_DEBUG=1"})
end)

test("translate prints a text without either word as it is", function()
  for _, text in ipairs{"", "print(1)", "x = [[\r\n]]\n\n--end\n",
    "#!/usr/bin/env neap\nprint 'x'\n", "\xEF\xBB\xBF# mark\nx = 1",
    "\xEF\xBB\xBFx = 1", "#", "x = 'a\\0b'\n", "async(await)\n"} do
    gives(text, {"translate", script(text)})
    gives(text, {"translate", "-", input = text})
  end
end)

test("translate prints plain Lua that keeps its lines", function()
  local text = "#!/usr/bin/env neap\nlocal async function f()\n"
    .. "  return await g()\nend\nerror 'five'\n"
  local status, out, err = run{"translate", script(text)}
  equal(status, 0)
  equal(err, "")
  equal(select(2, out:gsub("\n", "")) - select(2, text:gsub("\n", "")),
    select(2, out:match "\n*$":gsub("\n", "")) - 1)
  assert(load(out, "=t"))
  assert(not out:find "await g")
end)

test("translate tells errors in Lua's form", function()
  local path = script "# first\nasync function f()\n  await x(]\nend\n"
  local status, out, err = run{"translate", path}
  equal(status, 1)
  equal(out, "")
  has(err, "neap: " .. path .. ":3: ")
  status, _, err = run{"translate", "-", input = "async function 1"}
  equal(status, 1)
  has(err, "neap: stdin:1: ")
  status, _, err = run{"translate", cli.path "nothing"}
  equal(status, 1)
  equal(err, ("neap: cannot open %s: No such file or directory\n"):format(
    cli.path "nothing"))
  status, _, err = run{"translate", cli.scratch}
  equal(status, 1)
  equal(err, ("neap: cannot read %s: Is a directory\n"):format(cli.scratch))
end)

test("translate refuses a compiled chunk", function()
  local status, _, err = run{"translate", script(string.dump(load ""))}
  equal(status, 1)
  has(err, "a compiled chunk has no text")
end)

test("a script called translate can be run", function()
  cli.write(cli.path "translate", "print(...)")
  local pipe = io.popen(("cd %s && %s ./translate a; %s translate a b")
    :format(cli.scratch, "N=$OLDPWD/" .. cli.interpreter .. "; test -x $N "
      .. "|| N=" .. cli.interpreter .. "; $N", "$N"))
  equal(pipe:read "a", "a\na\tb\n")
  pipe:close()
end)

cli.finish()
