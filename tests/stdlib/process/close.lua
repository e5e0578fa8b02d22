-- The rule of closing, for processes, signals and their streams.

local process = require "neap.process"
local spawn = process.spawn

local function is_there(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  if file then file:close() end
  return file ~= nil
end

-- Zombies are there.
local function expect_gone(pid)
  while is_there(pid) do await asyncio.sleep(0.002) end
end

test("closing twice is harmless, and kills", async function()
  local child = spawn({"sleep", "60"}, {stdin = "pipe", stdout = "pipe"})
  assert(not child:closed())
  child:close()
  child:close()
  assert(child:closed() and child.stdin:closed() and child.stdout:closed())
  equal(child:kill(), false)
  expect_gone(child.pid)
end)

test("closing under a wait ends it", async function()
  local child = spawn {"sleep", "60"}
  local first = asyncio.create_task(child:wait())
  local second = asyncio.create_task(child:wait())
  await asyncio.sleep(0)
  child:close()
  for _, task in ipairs {first, second} do
    local e = expect_error("wait: it was closed", function() await task end)
    equal(e.code, "ECLOSED")
  end
  expect_gone(child.pid)
end)

test("closing under a read of its output ends it", async function()
  local child = spawn({"sleep", "60"}, {stdout = "pipe"})
  local reading = asyncio.create_task(child.stdout:read())
  await asyncio.sleep(0)
  child:close()
  expect_error("was closed", function() await reading end)
end)

test("closing under a stop ends it", async function()
  local child = spawn({"sh", "-c",
    "trap '' TERM; echo begun; while :; do sleep 0.05; done"},
    {stdout = "pipe"})
  await child.stdout:read_line()
  local stopping = asyncio.create_task(child:stop(60))
  await asyncio.sleep(0.02)
  child:close()
  expect_error("was closed", function() await stopping end)
  expect_gone(child.pid)
end)

test("the end of a scope ends the child and waits for it", async function()
  local pid
  do
    local child <close> = spawn {"sleep", "60"}
    pid = child.pid
  end
  assert(not is_there(pid))
end)

test("at the end of a scope the input of a child ends", async function()
  local child
  do
    local scoped <close> = spawn({"sh", "-c",
      "trap '' TERM; echo begun; cat >/dev/null; exit 3"},
      {stdin = "pipe", stdout = "pipe"})
    child = scoped
    await child.stdout:read_line()
  end
  equal({await child:wait()}, {3, nil})
end)

test("a cancelled task ends its children", async function()
  local pids = asyncio.Future()
  local task = asyncio.create_task((async function()
    local a <close> = spawn {"sleep", "60"}
    local b <close> = spawn({"cat"}, {stdin = "pipe", stdout = "pipe"})
    pids:set_result {a.pid, b.pid}
    await asyncio.sleep(60)
  end)())
  pids = await pids
  task:cancel()
  expect_error(asyncio.CancelledError, function() await task end)
  assert(not is_there(pids[1]) and not is_there(pids[2]))
end)

test("cancelled at every await of a scope, nothing is left", async function()
  local async function talk()
    local child <close> = spawn({"cat"}, {stdin = "pipe", stdout = "pipe"})
    await child.stdin:write("x\n")
    await child.stdout:read_line()
    child.stdin:close()
    await child.stdout:read_all()
    await child:wait()
  end
  for turns = 0, 25 do
    local task = asyncio.create_task(talk())
    for _ = 1, turns do await asyncio.sleep(0) end
    task:cancel()
    local ok, e = asyncio.catch(await, task)
    assert(ok or asyncio.iserror(e, asyncio.CancelledError), tostring(e))
  end
end)

test("a child that is collected while it runs is ended", async function()
  local pid = spawn({"sleep", "60"}, {stdin = "pipe"}).pid
  for _ = 1, 3 do
    collectgarbage()
    await asyncio.sleep(0)
  end
  expect_gone(pid)
end)

test("a detached child leaves no zombie either", async function()
  local child = spawn({"cat"}, {stdin = "pipe", detached = true})
  local stdin = child.stdin
  child:close()
  assert(stdin:closed() and is_there(child.pid))
  expect_gone(child.pid)
  local many = {}
  for i = 1, 20 do
    many[i] = spawn({"sleep", "60"}, {detached = i % 2 == 0})
    many[i]:close()
  end
  for i = 2, 20, 2 do process.kill(many[i].pid, "SIGKILL") end
  for i = 1, 20 do expect_gone(many[i].pid) end
end)

test("a child that has ended needs no closing", async function()
  local child = spawn {"true"}
  equal(await child:wait(), 0)
  assert(child:closed())
end)

test("a child that ends before anybody waits is no zombie", async function()
  local child <close> = spawn {"true"}
  while is_there(child.pid) do await asyncio.sleep(0.002) end
  equal(await child:wait(), 0)
end)

test("closing an iterator of signals ends its loop", async function()
  local signals, came = process.signals "SIGUSR1", asyncio.Event()
  local count = asyncio.create_task((async function()
    local n = 0
    for _ in signals do
      n = n + 1
      came:set()
    end
    return n
  end)())
  await asyncio.sleep(0)
  process.kill(process.pid, "SIGUSR1")
  await came:wait()
  signals:close()
  signals:close()
  equal(await count, 1)
  equal(await signals:next(), nil)
end)

test("a collected iterator of signals stops listening", async function()
  local loop = asyncio.get_running_loop()
  loop:add_signal_handler("SIGUSR1", function() end)
  local handles = asyncio._handles()
  process.signals("SIGUSR1", "SIGUSR2")
  for _ = 1, 3 do
    collectgarbage()
    await asyncio.sleep(0)
  end
  equal(asyncio._handles(), handles)
  loop:remove_signal_handler "SIGUSR1"
end)

test("cancelling a wait for a signal", async function()
  local signals <close> = process.signals "SIGUSR1"
  local task = asyncio.create_task(signals:next())
  await asyncio.sleep(0)
  task:cancel()
  expect_error(asyncio.CancelledError, function() await task end)
  process.kill(process.pid, "SIGUSR1")
  equal(await signals:next(), "SIGUSR1")
end)

test("a machine ends with everything still open", async function()
  local neap = "/proc/" .. process.pid .. "/exe"
  local result = await process.run({neap, "-e", [[
    local process = require "neap.process"
    child = process.spawn({"sleep", "60"}, {stdin = "pipe", stdout = "pipe"})
    other = process.spawn({"cat"}, {pty = true})
    signals = process.signals("SIGTERM")
    asyncio.get_running_loop():add_signal_handler("SIGUSR1", print)
    asyncio.create_task(child:wait())
    asyncio.create_task(child.stdout:read())
    asyncio.create_task(signals:next())
    await asyncio.sleep(0.01)
    print(child.pid, other.pid)
  ]]})
  equal(result.stderr, "")
  equal(result.status, 0)
  local a, b = result.stdout:match "(%d+)\t(%d+)"
  assert(not is_there(a) and not is_there(b))
end)

test("a scope in a callback closes at once", async function()
  local done = asyncio.Future()
  asyncio.get_running_loop():call_soon(function()
    local child
    do
      local scoped <close> = spawn {"sleep", "60"}
      child = scoped
    end
    done:set_result(child)
  end)
  local child = await done
  assert(child:closed())
  expect_gone(child.pid)
end)

test("what is asked of a closed child is named", async function()
  local child = spawn({"sh", "-c", "trap '' TERM; echo; read x"},
    {stdin = "pipe", stdout = "pipe"})
  await child.stdout:read_line()
  local stopping = asyncio.create_task(child:stop())
  await asyncio.sleep(0)
  child:close()
  local _, e = pcall(function() await stopping end)
  assert(tostring(e):find "stop: it was closed$", e)
  expect_error("wait: the Process is closed", child.wait, child)
  expect_error("stop: the Process is closed", child.stop, child)
end)
