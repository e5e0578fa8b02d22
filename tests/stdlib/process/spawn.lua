-- Living with a program: its streams, its end, its terminal.

local process = require "neap.process"
local net = require "neap.net"
local spawn = process.spawn

local function is_there(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  if file then file:close() end
  return file ~= nil
end

test("talking with a child", async function()
  local child <close> = spawn({"cat"}, {stdin = "pipe", stdout = "pipe"})
  assert(child.pid > 1 and is_there(child.pid))
  equal(child.stderr, nil)
  for _, line in ipairs {"one", "two", "three"} do
    await child.stdin:write(line, "\n")
    equal(await child.stdout:read_line(), line)
  end
  child.stdin:close()
  equal(await child.stdout:read(), nil)
  equal({await child:wait()}, {0, nil})
  assert(not is_there(child.pid))
end)

test("shutdown ends the input of a child", async function()
  local child <close> = spawn({"wc", "-c"}, {stdin = "pipe", stdout = "pipe"})
  await child.stdin:write(("x"):rep(200000))
  await child.stdin:shutdown()
  equal(tonumber(await child.stdout:read_all()), 200000)
end)

test("all three streams", async function()
  local child <close> = spawn({"sh", "-c", "read x; echo $x; echo e$x >&2"},
    {stdin = "pipe", stdout = "pipe", stderr = "pipe"})
  await child.stdin:write("1\n")
  equal({await child.stdout:read_all(), await child.stderr:read_all()},
    {"1\n", "e1\n"})
end)

test("await before spawn is right too", async function()
  local child <close> = await spawn {"true"}
  equal(await child:wait(), 0)
end)

test("any number may wait, before the end and after", async function()
  local child <close> = spawn({"cat"}, {stdin = "pipe"})
  local jobs = {}
  for i = 1, 5 do jobs[i] = asyncio.create_task(child:wait()) end
  await asyncio.sleep(0)
  jobs[3]:cancel()
  await asyncio.sleep(0)
  child.stdin:close()
  for i = 1, 5 do
    if i ~= 3 then equal({await jobs[i]}, {0, nil}) end
  end
  assert(jobs[3]:cancelled())
  equal({await child:wait()}, {0, nil})
end)

test("cancelling a wait does nothing to the child", async function()
  local child <close> = spawn({"cat"}, {stdin = "pipe", stdout = "pipe"})
  expect_error(asyncio.TimeoutError, function()
    local _ <close> = asyncio.timeout(0.02)
    await child:wait()
  end)
  await child.stdin:write("x\n")
  equal(await child.stdout:read_line(), "x")
end)

test("kill sends any signal", async function()
  local child <close> = spawn {"sleep", "60"}
  equal(child:kill("SIGKILL"), true)
  equal({await child:wait()}, {nil, "SIGKILL"})
  equal(child:kill(), false)
  local other <close> = spawn({"sh", "-c",
    "trap 'echo got; exit 5' USR1; echo begun; while :; do sleep 0.01; done"},
    {stdout = "pipe"})
  equal(await other.stdout:read_line(), "begun")
  equal(other:kill("SIGUSR1"), true)
  equal(await other.stdout:read_line(), "got")
  equal({await other:wait()}, {5, nil})
  local third <close> = spawn {"sleep", "60"}
  equal(third:kill(9), true)
  expect_error("unknown signal 'SIGNONE'", third.kill, third, "SIGNONE")
  expect_error("unknown signal '99'", third.kill, third, 99)
  expect_error("signal must be a name, not table", third.kill, third, {})
end)

test("stop asks, then kills", async function()
  local child <close> = spawn {"sleep", "60"}
  equal({await child:stop()}, {nil, "SIGTERM"})
  equal({await child:stop()}, {nil, "SIGTERM"})
  local stubborn <close> = spawn({"sh", "-c",
    "trap '' TERM; echo begun; while :; do sleep 0.05; done"},
    {stdout = "pipe"})
  await stubborn.stdout:read_line()
  equal({await stubborn:stop(0.05)}, {nil, "SIGKILL"})
  expect_error("grace must be a number", child.stop, child, "1")
end)

test("a stopped child can be ended", async function()
  local child <close> = spawn {"sleep", "60"}
  child:kill("SIGSTOP")
  local state
  repeat
    local file <close> = io.open("/proc/" .. child.pid .. "/stat")
    state = file:read "a":match "%) (%a)"
    await asyncio.sleep(0.002)
  until state == "T"
  equal({await child:stop(0.05)}, {nil, "SIGKILL"})
end)

test("a group is ended with its leader", async function()
  local child <close> = spawn({"sh", "-c", "sleep 61 & echo $!; wait"},
    {stdout = "pipe", new_group = true})
  local pid = await child.stdout:read_line()
  equal({await child:stop()}, {nil, "SIGTERM"})
  equal(await child.stdout:read(), nil)
  while is_there(pid) do await asyncio.sleep(0.002) end
end)

test("a stream of one child is the input of another", async function()
  local first <close> = spawn({"printf", "b\na\n"}, {stdout = "pipe"})
  local second <close> = spawn({"sort"},
    {stdin = first.stdout, stdout = "pipe"})
  assert(first.stdout:closed())
  equal(await second.stdout:read_all(), "a\nb\n")
end)

test("a socket can be the streams of a child", async function()
  local ours <close>, theirs = net.pair()
  local child <close> = spawn({"cat"}, {stdin = theirs, stdout = theirs})
  assert(theirs:closed())
  await ours:write("hello")
  equal(await ours:read_exactly(5), "hello")
  await ours:shutdown()
  equal(await ours:read(), nil)
  equal(await child:wait(), 0)
end)

test("a stream that no child got is still ours", async function()
  local ours <close>, theirs = net.pair()
  local _ <close> = theirs
  expect_error("spawn nosuch", spawn, {"nosuch"}, {stdin = theirs})
  assert(not theirs:closed())
  expect_error(asyncio.TimeoutError, function()
    local _ <close> = asyncio.timeout(0.02)
    await theirs:write(("x"):rep(8 << 20))
  end)
end)

test("a child with a terminal", async function()
  local child <close> = spawn({"sh", "-c", [[
    test -t 0 && test -t 1 && test -t 2 && stty size
    stty -echo; echo ready; read x; echo "got $x"; stty size </dev/tty; exit 4
  ]]}, {pty = true, rows = 30, cols = 100})
  assert(child.stdin == child.stdout and not child.stderr)
  equal(await child.stdout:read_line(), "30 100\r")
  equal(await child.stdout:read_line(), "ready\r")
  child:resize(40, 120)
  await child.stdin:write("this\n")
  equal(await child.stdout:read_line(), "got this\r")
  equal(await child.stdout:read_line(), "40 120\r")
  equal(await child.stdout:read(), nil)
  equal({await child:wait()}, {4, nil})
end)

test("the terminal's keys reach the child", async function()
  local child <close> = spawn({"sh", "-c", "echo ready; exec sleep 60"},
    {pty = true})
  await child.stdout:read_line()
  await child.stdin:write("\3")
  equal({await child:wait()}, {nil, "SIGINT"})
end)

test("closing the terminal hangs the child up", async function()
  local child <close> = spawn({"sh", "-c", "echo ready; exec sleep 60"},
    {pty = true})
  await child.stdout:read_line()
  child.stdin:close()
  equal({await child:wait()}, {nil, "SIGHUP"})
end)

test("a detached child outlives its Process", async function()
  local pid
  do
    local child <close> = spawn({"sleep", "60"}, {detached = true})
    pid = child.pid
  end
  assert(is_there(pid))
  process.kill(pid, "SIGKILL")
  repeat
    local child <close> = spawn {"true"}
    await child:wait()
    await asyncio.sleep(0.002)
  until not is_there(pid)
end)

test("process.kill says what is wrong", async function()
  local child <close> = spawn {"true"}
  await child:wait()
  local e = expect_error(asyncio.OSError, process.kill, child.pid, "SIGTERM")
  equal(e.code, "ESRCH")
  expect_error("pid must be an integer", process.kill, "x", "SIGTERM")
  expect_error("pid must be an integer", process.kill, 0, "SIGTERM")
  expect_error("unknown signal 'TERM'", process.kill, 1 << 22, "TERM")
  process.kill(process.pid, 0)
  e = expect_error(asyncio.OSError, process.kill, child.pid, 0)
  equal(e.code, "ESRCH")
end)

test("mistakes are told at the caller's line", function()
  for what, options in pairs {
    ["unknown option 'input'"] = {input = ""},
    ["unknown option 'timeout'"] = {timeout = 1},
    ["rows must be from 1 to 65535, not 0"] =
      {pty = true, rows = 0},
    ["cols must be an integer, not string"] = {cols = "80"},
    ["pty and stdin exclude each other"] = {pty = true, stdin = "pipe"},
    ["pty must be a boolean, not number"] = {pty = 1},
    ["stdin must be a string, a stream or a file of io, not table"] =
      {stdin = {}},
  } do
    local ok, e = pcall(function() spawn({"true"}, options) end)
    assert(not ok and type(e) == "string")
    assert(e:find("spawn: " .. what, 1, true) and
      e:find "spawn%.lua:%d+: spawn: ", e)
  end
  local file = io.tmpfile()
  file:close()
  expect_error("stdin is a closed file", spawn, {"true"}, {stdin = file})
end)

test("sizes are checked", async function()
  local child <close> = spawn({"cat"}, {stdin = "pipe", stdout = "null"})
  expect_error("resize: it has no terminal", child.resize, child, 10, 10)
  local other <close> = spawn({"cat"}, {pty = true})
  expect_error("rows must be from 1", other.resize, other, 0, 10)
  expect_error("cols must be an integer, not nil", other.resize, other, 10)
end)
