-- The order of what happens at the same moment, as asyncio has it.
-- Each case came out of comparing programs made by chance with CPython 3.13.

require "tests.cases"

local say = log

-- A moment that is over when the task next gives up its turn: what is due
-- then is all found by the same look at the clock.
local function moment() return asyncio.time() - 1 end

case("a callback that is due comes before a task that wakes",
    "callback / task", async function()
  local loop = asyncio.get_running_loop()
  local sleeper = asyncio.create_task((async function()
    await asyncio.sleep(0.001)
    say "task"
  end)())
  await asyncio.sleep(0)
  loop:call_at(asyncio.time() + 0.001, say, "callback")
  await sleeper
end)

case("who is ready goes before timers that are due",
    "soon / timer", async function()
  local loop = asyncio.get_running_loop()
  loop:call_at(moment(), say, "timer")
  loop:call_soon(say, "soon")
  await asyncio.sleep(0)
  await asyncio.sleep(0)
end)

case("timers that are due fire in the order of their times",
    "a / b / c / d", async function()
  local loop = asyncio.get_running_loop()
  local now = asyncio.time()
  loop:call_at(now - 1, say, "c")
  loop:call_at(now - 3, say, "a")
  loop:call_at(now - 2, say, "b")
  loop:call_at(now - 1, say, "d")
  await asyncio.sleep(0)
  await asyncio.sleep(0)
end)

case("a timer that a timer starts has to wait for a turn",
    "first / soon / second", async function()
  local loop = asyncio.get_running_loop()
  loop:call_at(moment(), function()
    say "first"
    loop:call_soon(say, "soon")
    loop:call_at(moment(), say, "second")
  end)
  for _ = 1, 4 do await asyncio.sleep(0) end
end)

case("a scope that is over ends before the next await does",
    "", async function()
  local ok, e = asyncio.catch(function()
    local _ <close> = asyncio.timeout(0)
    await asyncio.sleep(0)
    say "not reached"
  end)
  assert(not ok and asyncio.iserror(e, asyncio.TimeoutError))
end)

case("a scope that is over leaves those before it their turn",
    "before / after / cancelled", async function()
  asyncio.get_running_loop():call_soon(say, "before")
  asyncio.catch(function()
    local _ <close> = asyncio.timeout(0)
    asyncio.get_running_loop():call_soon(say, "after")
    local _ <close> = asyncio.defer(function() say "cancelled" end)
    await asyncio.Future()
  end)
end)

case("two scopes that are over in one another: the outer one",
    "", async function()
  local inner, outer = asyncio.timeout(0), asyncio.timeout(0)
  local ok, e = asyncio.catch(function()
    local _ <close> = outer
    local ok, e = asyncio.catch(function()
      local _ <close> = inner
      await asyncio.Future()
    end)
    assert(not ok and asyncio.iserror(e, asyncio.CancelledError))
    error(e, 0)
  end)
  assert(not ok and asyncio.iserror(e, asyncio.TimeoutError))
  assert(inner:expired() and outer:expired())
end)

case("moving a scope to now ends it at the next await",
    "", async function()
  local scope = asyncio.timeout(nil)
  local ok, e = asyncio.catch(function()
    local _ <close> = scope
    scope:reschedule(moment())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    say "not reached"
  end)
  assert(not ok and asyncio.iserror(e, asyncio.TimeoutError))
end)

case("a gather of what is done is done",
    "not yet / turn", async function()
  local a = asyncio.create_task((async function() return 1 end)())
  local b = asyncio.Future()
  b:set_result(2)
  await a
  local all = asyncio.gather(a, b)
  assert(all:done())
  asyncio.get_running_loop():call_soon(say, "turn")
  local x, y = await all
  assert(x == 1 and y == 2)
  log "not yet" -- it did not suspend
  await asyncio.sleep(0)
end)

case("a gather with a failure that is done cancels at once",
    "", async function()
  local failed = asyncio.Future()
  failed:set_exception(asyncio.Error.new("early"))
  local other = asyncio.create_task((async function() say "ran" end)())
  local ok, e = pcall(function() await asyncio.gather(other, failed) end)
  assert(not ok and e.message == "early")
  assert(other:cancelled())
end)

case("a gather of done ones keeps their errors as values",
    "", async function()
  local failed = asyncio.Future()
  failed:set_exception(asyncio.Error.new("early"))
  local cancelled = asyncio.Future()
  cancelled:cancel()
  local all = asyncio.gather({failed, cancelled, failed},
    {return_exceptions = true})
  assert(all:done())
  local r = await all
  assert(r.n == 3 and r[1].message == "early" and r[3] == r[1])
  assert(asyncio.iserror(r[2], asyncio.CancelledError))
end)

case("a task that cancels itself and ends is cancelled",
    "", async function()
  local task = asyncio.create_task((async function()
    asyncio.current_task():cancel()
    return 5
  end)())
  await asyncio.wait{task}
  assert(task:cancelled() and task:cancelling() == 1)
  local r = await asyncio.gather({(async function()
    asyncio.current_task():cancel()
    return 5
  end)()}, {return_exceptions = true})
  assert(asyncio.iserror(r[1], asyncio.CancelledError))
end)

case("a task that cancels itself and fails has failed",
    "", async function()
  local task = asyncio.create_task((async function()
    asyncio.current_task():cancel()
    error(asyncio.Error.new("its own"))
  end)())
  await asyncio.wait{task}
  assert(not task:cancelled() and task:exception().message == "its own")
end)

case("a scope that is over expires in its place, timers after what is ready",
    "soon / timer / cancelled", async function()
  local loop = asyncio.get_running_loop()
  loop:call_later(0, say, "timer")
  asyncio.catch(function()
    local _ <close> = asyncio.timeout(0)
    loop:call_soon(say, "soon")
    local _ <close> = asyncio.defer(function() say "cancelled" end)
    await asyncio.Future()
  end)
end)

case("a scope that was over and left delays no timer",
    "timer / turn", async function()
  local loop = asyncio.get_running_loop()
  do
    local _ <close> = asyncio.timeout(0)
    loop:call_later(0, say, "timer")
  end
  await asyncio.sleep(0)
  await asyncio.sleep(0)
  say "turn"
end)

case("moving a scope that is over to now ends it in the next turn",
    "false TimeoutError", async function()
  log(asyncio.catch(function()
    local scope <close> = asyncio.timeout(0)
    scope:reschedule(moment())
    await asyncio.sleep(0)
    say "not reached"
  end))
end)

case("a scope that is over may still be given time, or none",
    "late / never", async function()
  do
    local scope <close> = asyncio.timeout(0)
    scope:reschedule(asyncio.time() + 1)
    await asyncio.sleep(0.5)
    say "late"
  end
  local scope <close> = asyncio.timeout(-1)
  scope:reschedule(nil)
  await asyncio.sleep(0)
  say "never"
end)

case("the first of two failures of one turn is raised, whatever has failed",
    "Boom: future / Boom: task / Boom: other", async function()
  local async function fail(future)
    if future then future:set_exception(Boom.new "future") end
    error(Boom.new "task")
  end
  local function outcome(...)
    local ok, e = pcall(await, asyncio.gather(...))
    assert(not ok)
    log(kind(e))
    assert(tostring(e):find("order.lua", 1, true))
  end
  local f = asyncio.Future()
  outcome(fail(f), f)
  f = asyncio.Future()
  local turns = asyncio.get_running_loop()
  turns:call_soon(function() f:set_result() end)
  outcome(fail(), f)
  f = asyncio.Future()
  local other = asyncio.create_task((async function()
    error(Boom.new "other")
  end)())
  outcome(fail(f), other, f)
end)

case("a gather with a future counts its other children in their turn too",
    "both / all", async function()
  local async function tell(name, x)
    await x
    say(name)
  end
  local async function nap(n)
    for _ = 1, n do await asyncio.sleep(0) end
  end
  local first = asyncio.create_task(nap(4))
  local second = asyncio.create_task(nap(4))
  local all = asyncio.create_task(tell("all",
    asyncio.gather(first, nap(4))))
  local both = asyncio.create_task(tell("both",
    asyncio.gather(second)))
  await asyncio.wait {all, both}
end)

case("a gather whose children have all ended cannot be cancelled any more",
    "false / true / 1", async function()
  local async function child() return 1 end
  local all = asyncio.gather(child())
  await asyncio.sleep(0)
  log(all:cancel())
  local async function run()
    local future = asyncio.Future()
    local all = asyncio.gather(future)
    future:set_result(1)
    log(not all:done())
    asyncio.get_running_loop():call_soon(function() all:cancel() end)
    log((await all))
  end
  await run()
end)

case("a sleep and a limit of the same length end in their order",
    "true", async function()
  local same = 0
  for i = 1, 50 do
    await asyncio.sleep(i / 7919) -- some other time of the clock
    local got = {}
    local async function sleeper(name)
      await asyncio.sleep(0.03)
      got[#got + 1] = name
    end
    local async function limited(name)
      await asyncio.wait({asyncio.Future()}, {timeout = 0.03})
      got[#got + 1] = name
    end
    await asyncio.gather(sleeper "a", limited "b", sleeper "c")
    if table.concat(got) == "abc" then same = same + 1 end
  end
  log(same == 50 or same)
end)
