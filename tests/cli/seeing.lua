-- The watchdog, the tree of tasks and neap ps, as a user meets them.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, equal, has = cli.test, cli.equal, cli.has

if not cli.is_neap then
  print "skipped: not neap"
  return cli.finish()
end

-- In a script: whether its stderr, which is a file, has the report.
local reported = [[
  local function reported()
    local file <close> = io.open "/proc/self/fd/2"
    return file:read "a":find("blocks the loop", 1, true)
  end
]]

test("a step that blocks is reported while it runs, and its length", function()
  local status, _, err = cli.run{"--block-limit=0.05", cli.script(reported .. [[
    local function block()
      repeat until reported()
    end
    block()]])}
  equal(status, 0)
  has(err, "neap: task 'main' has been running for ")
  has(err, "which blocks the loop\n    ")
  has(err, "in local 'block'")
  has(err, "neap: task 'main' ran for ")
end)

test("so is a callback, and a C function when it returns", function()
  local status, _, err = cli.run{"--block-limit=0.05", cli.script(reported .. [[
    asyncio.get_running_loop():call_soon(function()
      repeat os.execute "sleep 0.1" until reported()
    end)
    await asyncio.sleep(0)
    await asyncio.sleep(0)]])}
  equal(status, 0)
  has(err, "neap: a callback has been running for ")
  has(err, "/script")
  has(err, "neap: a callback ran for ")
end)

test("without debug mode nothing is said of it", function()
  local status, _, err = cli.run{cli.script [[
    local stop = os.clock() + 0.2
    while os.clock() < stop do end]]}
  equal(status, 0)
  equal(err, "")
end)

test("--block-limit needs a number above 0", function()
  for _, value in ipairs{"=0", "=soon", ""} do
    local status, _, err = cli.run{"--block-limit" .. value, "-e", ""}
    equal(status, 1)
    has(err, "'--block-limit' needs a number of seconds above 0")
  end
end)

test("dump_tasks tells what each task waits for", function()
  local status, out = cli.run{cli.script [[
    local q = asyncio.Queue()
    async function get() await q:get() end
    async function nap() await asyncio.sleep(9) end
    async function both(t) await asyncio.gather(t, nap()) end
    local t = asyncio.create_task(get(), {name = "getter"})
    asyncio.create_task(both(t), {name = "both"})
    asyncio.create_task(nap(), {name = "napper"})
    local waiter = (async function() await t end)()
    asyncio.create_task(waiter, {name = "waiter"})
    await asyncio.sleep(0.01)
    asyncio.create_task(nap(), {name = "new"})
    asyncio.dump_tasks(io.stdout)]]}
  equal(status, 0)
  has(out, "7 tasks\n")
  has(out, ": runs now\n")
  has(out, "    getter (")
  has(out, "): Queue:get (empty, 1 waiting)\n")
  has(out, "): gather, 2 to go\n")
  has(out, "): sleep, 8.9")
  has(out, "): task 'getter'\n")
  has(out, "): has not started\n")
  has(out, "in async function 'get'")
  has(out, "spawned at ")
end)

test("it says of futures, signals, sockets and generators which", function()
  local status, out = cli.run{cli.script [[
    local net, process = require "neap.net", require "neap.process"
    local function spawn(name, f)
      return asyncio.create_task(async(f)(), {name = name})
    end
    local future, q = asyncio.Future(), asyncio.Queue()
    local udp <close> = await net.udp{host = "127.0.0.1"}
    local signals <close> = process.signals("SIGUSR2", "SIGHUP")
    spawn("wait", function() await asyncio.wait{future} end)
    local waiter = spawn("shield", function() await asyncio.shield(future) end)
    spawn("some", function() await asyncio.wait{future, waiter} end)
    spawn("udp", function() await udp:recv() end)
    spawn("signals", function() await signals:next() end)
    spawn("generator", function()
      coroutine.wrap(function() await q:get() end)()
    end)
    for _ = 1, 3 do await asyncio.sleep(0) end
    asyncio.dump_tasks(io.stdout)
    for _, task in pairs(asyncio.all_tasks()) do
      if task ~= asyncio.current_task() then task:cancel() end
    end]]}
  equal(status, 0)
  local function waits(name, text)
    has(out:match("\n *" .. name .. " %(.-%): ([^\n]*)"), text)
  end
  waits("wait", "asyncio.wait: a future")
  waits("shield", "a future")
  waits("some", "asyncio.wait: task 'shield', a future")
  waits("udp", "recv 127.0.0.1:")
  waits("signals", "Signals:next (SIGUSR2, SIGHUP)")
  waits("generator", "Queue:get (empty, 1 waiting)")
end)

test("it names the holder of a lock, and a deadlock", function()
  local status, out = cli.run{cli.script [[
    local a, b = asyncio.Lock(), asyncio.Lock()
    local async function both(first, second)
      local _ <close> = await first:acquire()
      await asyncio.sleep(0)
      local _ <close> = await second:acquire()
    end
    asyncio.create_task(both(a, b), {name = "one"})
    asyncio.create_task(both(b, a), {name = "two"})
    local x, y
    local async function f() await y end
    local async function g() await asyncio.gather(asyncio.sleep(9), x) end
    x = asyncio.create_task(f(), {name = "x"})
    y = asyncio.create_task(g(), {name = "y"})
    local async function free() await asyncio.sleep(9) end
    local z = asyncio.create_task(free(), {name = "z"})
    asyncio.create_task((async function() await z end)())
    for _ = 1, 5 do await asyncio.sleep(0) end
    asyncio.dump_tasks(io.stdout)]]}
  equal(status, 0)
  has(out, "\n  deadlock: 'one' waits for 'two', which waits for 'one'\n")
  has(out, "\n  deadlock: 'x' waits for 'y', which waits for 'x'\n")
  has(out, "): Lock:acquire (held by 'two', 1 waiting)\n")
  has(out, "awaited by 'one'\n")
  equal(select(2, out:gsub("deadlock", "")), 2)
end)

test("wait, shield and as_completed tell what they stand for", function()
  local _, _, err = cli.run{cli.script [[
    local asleep = async function() await asyncio.sleep(100) end
    local function task(name)
      return asyncio.create_task(asleep(), {name = name})
    end
    local function start(name, f)
      asyncio.create_task(f(), {name = name})
    end
    start("w", async function()
      await asyncio.wait {task "a", task "b", task "c", task "d"}
    end)
    start("s", async function() await asyncio.shield(task "e") end)
    start("c", async function()
      for t in asyncio.as_completed {task "f", task "g"} do await t end
    end)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asyncio.dump_tasks()]]}
  err = err:gsub("%(%d+%.%d+ s%)", "(AGE)")
  has(err, "w (AGE): asyncio.wait: tasks 'a', 'b', 'c', 1 more\n")
  has(err, "s (AGE): task 'e'\n")
  has(err, "c (AGE): tasks 'f', 'g'\n")
end)

test("many tasks that are alike are told as one", function()
  local status, out = cli.run{cli.script [[
    local async function nap() await asyncio.sleep(9) end
    local list = {}
    for i = 1, 10000 do list[i] = nap() end
    local all = asyncio.gather(list)
    local async function down(n)
      if n == 0 then await asyncio.sleep(9) end
      await asyncio.create_task(down(n - 1))
    end
    asyncio.create_task(down(30))
    for _ = 1, 40 do await asyncio.sleep(0) end
    asyncio.dump_tasks(io.stdout)
    all:cancel()
    pcall(await, all)]]}
  equal(status, 0)
  has(out, "10032 tasks\n")
  has(out, "    10000 tasks, 'Task-2' to 'Task-10001' (")
  assert(#out < 20000)
end)

test("neap ps tells of a neap that waits, and of one that computes", function()
  for _, code in ipairs{"await asyncio.sleep(20)", "while true do end"} do
    local pipe = assert(io.popen(("sh -c 'echo $$; exec %s -e %s'")
      :format(cli.interpreter, '"print(1) io.stdout:flush() ' .. code .. '"')))
    local pid = pipe:read "l"
    pipe:read "l"
    local status, out, err = cli.run{"ps", pid}
    os.execute("kill -KILL " .. pid)
    pipe:close()
    equal(err, "")
    equal(status, 0)
    has(out, "1 task\n")
    has(out, "in main chunk")
  end
end)

test("neap ps gives up on one that is in a C function", function()
  -- It reads from the pipe that this keeps open.
  local pidfile = cli.path "pid"
  local pipe = assert(io.popen(("exec %s -e %s"):format(cli.interpreter,
    cli.quote(("io.open(%q, 'w'):write(io.open('/proc/self/stat'):read 'n')"
      .. ":close() assert(io.read() == 'line')"):format(pidfile))), "w"))
  local pid
  repeat
    local file = io.open(pidfile)
    pid = file and file:read "n"
    if file then file:close() end
  until pid
  local status, _, err = cli.run{"ps", tostring(pid)}
  equal(status, 1)
  has(err, "has not answered in 3 s: it runs a C function")
  pipe:write "line\n" -- which the signal has not taken away
  assert(pipe:close())
end)

test("neap ps refuses what is no neap", function()
  local status, _, err = cli.run{"ps", "1"}
  equal(status, 1)
  has(err, "neap: process 1 is no neap")
  status, _, err = cli.run{"ps", "me"}
  equal(status, 1)
  has(err, "the number of a process")
  status, _, err = cli.run{"ps"}
  equal(status, 1)
  has(err, "the number of a process")
end)

test("neap ps says of one that is stopped that it is", function()
  local pipe = assert(io.popen(("sh -c 'echo $$; exec %s -e %s'")
    :format(cli.interpreter, '"local process = require [[neap.process]] ' ..
      'process.kill(process.pid, [[SIGSTOP]])"')))
  local pid = pipe:read "l"
  local stat
  repeat
    local file <close> = assert(io.open("/proc/" .. pid .. "/stat"))
    stat = file:read "a"
  until stat:find "%(neap%) T"
  local status, _, err = cli.run{"ps", pid}
  os.execute("kill -KILL " .. pid)
  pipe:close()
  equal(status, 1)
  has(err, "process " .. pid .. " is stopped")
end)

test("an error shows the line that it is about", function()
  local path = cli.script "local x\n\n  local y = x.field\n"
  local _, _, err = cli.run{path}
  has(err, "(local 'x')\n    local y = x.field\nstack traceback:\n")
  _, _, err = cli.run{"-e", "local x\nerror 'bad'"}
  has(err, "neap: (command line):2: bad\n    error 'bad'\nstack traceback:\n")
  _, _, err = cli.run{"-e", "local x\nlocal y = = 1"}
  has(err, "near '='\n    local y = = 1\n")
end)

test("debug mode tells when nothing is left to wait for, and not before",
     function()
  local path, err = cli.script [[
    local lock = asyncio.Lock()
    await lock:acquire()
    local async function again() await lock:acquire() end
    await asyncio.sleep(0.01)
    io.stderr:write "woken\n"
    await again()]], cli.path "stuck"
  local pipe = io.popen(([[
    %s 2>%s & until grep -q 'in main chunk' %s; do sleep 0.05; done
    kill -INT $!; wait $!; echo $?]]):format(
      cli.command{"--debug", path, env = "exec"}, err, err))
  equal(pipe:read "n", 130)
  pipe:close()
  err = cli.read(err)
  has(err, "woken\nneap: all tasks wait for each other, or for what " ..
      "nothing is left to do\n1 task\n")
  has(err, "Lock:acquire (held by ")
  equal(select(2, err:gsub("all tasks wait", "")), 1)
end)

test("so do reports, and the errors of a group", function()
  local _, _, err = cli.run{cli.script [[
    local async function fail()
      error "bad"
    end
    fail()
    collectgarbage()
    asyncio.create_task(fail())
    local tg <close> = asyncio.TaskGroup()
    tg:create_task(fail())]]}
  has(err, "was never awaited\n    fail()\n")
  has(err, ": bad\n      error \"bad\"\n  stack traceback:\n")
  has(err, "was never retrieved: ")
  has(err, ": bad\n    error \"bad\"\nstack traceback:\n")
end)

test("in debug mode, a coroutine object knows the stack that made it",
     function()
  local path = cli.script [[
local async function lost(...) end
local function made() return lost(1, 2, 3) end
local function makes() local _ = made() end
makes()
local kept = made()
local function later() return await kept end
print(select("#", later()))]]
  local _, out, err = cli.run{"--debug", path}
  equal(out, "0\n")
  has(err, "was never awaited\n")
  local lines = {}
  for line in err:gmatch "\n\t[^\n]*:(%d+): in" do lines[#lines + 1] = line end
  equal(table.concat(lines, " "), "2 3 4")
  _, _, err = cli.run{path}
  has(err, "was never awaited\n")
  equal(err:match "traceback", nil)
end)

test("a file that has changed, and a long line, are not shown as it was",
     function()
  local path = cli.script("local x = 1\nio.open(arg[0], 'a'):write " ..
    "'--' :close() error 'bad'")
  local _, _, err = cli.run{path}
  has(err, ":2: bad\nstack traceback:\n")
  path = cli.script("error(nil .. '" .. ("x"):rep(1000) .. "')")
  _, _, err = cli.run{path}
  has(err, "\n    error(nil .. '" .. ("x"):rep(146) .. "...\n")
end)

cli.finish()
