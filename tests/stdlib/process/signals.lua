-- Signals: iterators, handlers of the loop, several listeners at once.

local process = require "neap.process"
local loop = asyncio.get_running_loop()

local function send(signal) process.kill(process.pid, signal) end

local neap = "/proc/" .. process.pid .. "/exe"

test("an iterator gives the signals as they come", async function()
  local got = {}
  loop:call_soon(send, "SIGUSR1")
  for name in process.signals("SIGUSR1", "SIGUSR2") do
    got[#got + 1] = name
    if #got == 3 then break end
    send(#got == 1 and "SIGUSR2" or "SIGUSR1")
  end
  equal(got, {"SIGUSR1", "SIGUSR2", "SIGUSR1"})
end)

test("what comes before it is asked for is not lost", async function()
  local signals <close> = process.signals "SIGUSR1"
  send "SIGUSR1"
  send "SIGUSR1"
  await asyncio.sleep(0.02)
  equal(await signals:next(), "SIGUSR1")
  send "SIGUSR1"
  equal(await signals:next(), "SIGUSR1")
end)

test("a handler is called outside any task", async function()
  local called = asyncio.Future()
  local tasks = #asyncio.all_tasks()
  loop:add_signal_handler("SIGUSR1", function(...)
    called:set_result(asyncio.current_task(), ...)
  end, "an argument", nil)
  equal(#asyncio.all_tasks(), tasks)
  send "SIGUSR1"
  local task, argument = await called
  equal({task == nil, argument}, {true, "an argument"})
  assert(loop:remove_signal_handler "SIGUSR1")
  assert(not loop:remove_signal_handler "SIGUSR1")
end)

test("several listeners are all told", async function()
  local count = 0
  loop:add_signal_handler("SIGUSR1", function() count = count + 1 end)
  local first <close> = process.signals "SIGUSR1"
  local second <close> = process.signals("SIGUSR2", 10)
  send "SIGUSR1"
  equal({await first:next(), await second:next()}, {"SIGUSR1", "SIGUSR1"})
  await asyncio.sleep(0)
  equal(count, 1)
  loop:remove_signal_handler "SIGUSR1"
  send "SIGUSR1"
  equal({await first:next(), await second:next()}, {"SIGUSR1", "SIGUSR1"})
  equal(count, 1)
end)

test("a second handler replaces the first", async function()
  local called = asyncio.Future()
  loop:add_signal_handler("SIGUSR1", function() error "the first" end)
  loop:add_signal_handler("SIGUSR1", function() called:set_result() end)
  send "SIGUSR1"
  await called
  loop:remove_signal_handler "SIGUSR1"
end)

test("a handler may remove itself, and add others", async function()
  local called = asyncio.Future()
  loop:add_signal_handler("SIGUSR1", function()
    loop:remove_signal_handler "SIGUSR1"
    loop:add_signal_handler("SIGUSR2", function() called:set_result() end)
    send "SIGUSR2"
  end)
  send "SIGUSR1"
  await called
  loop:remove_signal_handler "SIGUSR2"
end)

test("an error in a handler goes to the exception handler", async function()
  local told = asyncio.Future()
  local done = asyncio.Future()
  loop:set_exception_handler(function(_, context)
    told:set_result(tostring(context.exception))
  end)
  loop:add_signal_handler("SIGUSR1", function() error "wrong" end)
  send "SIGUSR1"
  assert((await told):find "wrong")
  loop:add_signal_handler("SIGUSR1", function() done:set_result() end)
  send "SIGUSR1"
  await done
  loop:remove_signal_handler "SIGUSR1"
end)

test("signals are themselves again when nobody listens", async function()
  local result = await process.run {neap, "-e", [[
    local process = require "neap.process"
    local loop = asyncio.get_running_loop()
    loop:add_signal_handler("SIGTERM", print)
    local signals = process.signals "SIGTERM"
    loop:remove_signal_handler "SIGTERM"
    process.kill(process.pid, "SIGTERM")
    print(await signals:next())
    io.stdout:flush()
    signals:close()
    process.kill(process.pid, "SIGTERM")
    print "not reached"
  ]]}
  equal(result, {signal = "SIGTERM", stdout = "SIGTERM\n", stderr = ""})
end)

test("an interrupt works again after its handler", async function()
  local result = await process.run {neap, "-e", [[
    local process = require "neap.process"
    local loop = asyncio.get_running_loop()
    local got = asyncio.Event()
    loop:add_signal_handler("SIGINT", function() got:set() end)
    local signals = process.signals "SIGINT"
    process.kill(process.pid, "SIGINT")
    await got:wait()
    loop:remove_signal_handler "SIGINT"
    signals:close()
    local _ <close> = asyncio.defer(function() print "cleaned up" end)
    process.kill(process.pid, "SIGINT")
    await asyncio.sleep(5)
    print "not reached"
  ]]}
  equal(result.stdout, "cleaned up\n")
  assert(result.status ~= 0)
end)

test("what waits for signals does not keep a program alive", async function()
  local result = await process.run({neap, "-e", [[
    local process = require "neap.process"
    asyncio.get_running_loop():add_signal_handler("SIGTERM", print)
    asyncio.create_task((async function()
      for _ in process.signals "SIGHUP" do end
    end)())
    await asyncio.sleep(0)
  ]]})
  equal(result, {status = 0, stdout = "", stderr = ""})
end)

test("a signal has one name wherever it is told", async function()
  local signals <close> = process.signals(40)
  process.kill(process.pid, 40)
  equal(await signals:next(), "SIG40")
  process.kill(process.pid, "SIG40")
  equal(await signals:next(), "SIG40")
  local child <close> = process.spawn {"sleep", "60"}
  child:kill "SIG40"
  local _, signal = await child:wait()
  equal(signal, "SIG40")
  for _, name in ipairs {"SIG15", "SIG040", "SIG0", "SIG65", "40"} do
    expect_error("unknown signal '" .. name, process.kill, process.pid, name)
  end
end)

test("mistakes are told at the caller's line", async function()
  for what, signals in pairs {
    ["unknown signal 'TERM'"] = {"TERM"},
    ["unknown signal '0'"] = {0},
    ["unknown signal '1.5'"] = {1.5},
    ["SIGKILL cannot be handled"] = {"SIGUSR1", "SIGKILL"},
    ["SIGSTOP cannot be handled"] = {19},
    ["SIGSEGV cannot be handled"] = {"SIGSEGV"},
    ["signal must be a name, not nil"] = {nil, "SIGTERM", n = 2},
    ["signals: needs names of signals"] = {},
  } do
    local ok, e = pcall(function()
      process.signals(table.unpack(signals, 1, signals.n))
    end)
    assert(not ok and type(e) == "string")
    assert(e:find(what, 1, true) and e:find "signals%.lua:%d+: signals: ", e)
  end
  local ok, e = pcall(function() loop:add_signal_handler("SIGKILL", print) end)
  assert(not ok and
    e:find "signals%.lua:%d+: add_signal_handler: SIGKILL cannot be handled",
    e)
  expect_error("needs a function, not a nil", loop.add_signal_handler, loop,
    "SIGTERM")
  expect_error("unknown signal 'x'", loop.remove_signal_handler, loop, "x")
end)

test("await before signals is right too", async function()
  local task = asyncio.create_task((async function()
    for name in await process.signals "SIGUSR1" do return name end
  end)())
  loop:call_soon(send, "SIGUSR1")
  equal(await task, "SIGUSR1")
end)
