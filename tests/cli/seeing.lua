-- The watchdog, the tree of tasks and neap ps, as a user meets them.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, equal, has = cli.test, cli.equal, cli.has

if not cli.is_neap then
  print "skipped: not neap"
  return
end

test("a step that blocks is reported while it runs, and its length", function()
  local status, _, err = cli.run{"--block-limit=0.05", cli.script [[
    local function block()
      local stop = os.clock() + 0.4
      while os.clock() < stop do end
    end
    block()]]}
  equal(status, 0)
  has(err, "which blocks the loop\n    ")
  has(err, "in local 'block'")
  has(err, "neap: a step took ")
end)

test("without debug mode nothing is said of it", function()
  local status, _, err = cli.run{cli.script [[
    local stop = os.clock() + 0.2
    while os.clock() < stop do end]]}
  equal(status, 0)
  equal(err, "")
end)

test("--block-limit needs a number above 0", function()
  local status = cli.run{"--block-limit=0", "-e", ""}
  equal(status, 1)
  status = cli.run{"--block-limit=soon", "-e", ""}
  equal(status, 1)
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
  has(out, "): Queue:get\n")
  has(out, "): gather, 2 to go\n")
  has(out, "): sleep, 8.9")
  has(out, "): task 'getter'\n")
  has(out, "): has not started\n")
  has(out, "in async function 'get'")
  has(out, "spawned at ")
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

test("neap ps refuses what is no neap", function()
  local status, _, err = cli.run{"ps", "1"}
  equal(status, 1)
  has(err, "neap: process 1 is no neap")
  status, _, err = cli.run{"ps", "me"}
  equal(status, 1)
  has(err, "the number of a process")
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
