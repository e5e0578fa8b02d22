-- races: what happens when two things happen in one turn.

require "tests.cases"

local function turns(n)
  for _ = 1, n or 3 do await turn() end
end

local function taker(name, lock)
  return spawn(async function()
    local ok, err = asyncio.catch(function() await lock:acquire() end)
    log(name, ok and "has it" or "!! " .. kind(err))
  end)
end

case("R01: a result and a cancel under wait_for: the cancel wins",
    "true / t !! CancelledError / 1", async function()
  local f = asyncio.Future()
  local t = spawn(tell("t", asyncio.wait_for(f, 50 * U)))
  turns()
  f:set_result(1)
  log(t:cancel())
  await t
  log(t:cancelling())
end)

case("R02: an item for a cancelled wait_for stays in the queue",
    "t !! CancelledError / 1", async function()
  local q = asyncio.Queue()
  local t = spawn(tell("t", asyncio.wait_for(q:get(), 50 * U)))
  turns()
  q:put_nowait(1)
  t:cancel()
  await t
  log(q:qsize())
end)

case("R03: a gather cancelled in the turn in which its children end",
    "t !! CancelledError / t !! CancelledError", async function()
  for late = 0, 1 do
    local event = asyncio.Event()
    local async function child() await event:wait() end
    local t = spawn(tell("t", asyncio.gather(child(), child())))
    turns()
    event:set()
    turns(late)
    t:cancel()
    await t
  end
end)

case("R04: a shield cancelled in the turn of the result",
    "t !! CancelledError / 1", async function()
  local f = asyncio.Future()
  local t = spawn(tell("t", asyncio.shield(f)))
  turns()
  f:set_result(1)
  t:cancel()
  await t
  log(f:result())
end)

case("R05: an event's waiter cancelled in the turn of set",
    "t !! CancelledError / true", async function()
  local event = asyncio.Event()
  local t = spawn(tell("t", event:wait()))
  turns()
  event:set()
  t:cancel()
  await t
  log(event:is_set())
end)

case("R06: a wait cancelled in the turn in which all is done",
    "t !! CancelledError", async function()
  local f = asyncio.Future()
  local t = spawn(tell("t", asyncio.wait {f}))
  turns()
  f:set_result(1)
  t:cancel()
  await t
end)

case("R07: a result set in the turn after the cancel is too late",
    "InvalidStateError / t !! CancelledError", async function()
  local f = asyncio.Future()
  local t = spawn(tell("t", f))
  turns()
  t:cancel()
  log(fails(f.set_result, f, 1))
  await t
end)

case("R08: a scope that has expired cannot be rescheduled",
    "misuse / TimeoutError", async function()
  log(fails(function()
    local t <close> = asyncio.timeout(U)
    local _, err = asyncio.catch(function() await sleep(50) end)
    log(fails(t.reschedule, t, nil))
    error(err, 0)
  end))
end)

case("R09: a cancel after the time-out, in the body's clean-up, wins",
    "true / t !! CancelledError / 1", async function()
  local t
  t = spawn(async function()
    local scope <close> = asyncio.timeout(U)
    asyncio.catch(function() await sleep(50) end)
    log(scope:expired())
    later(0, function() t:cancel() end)
    await sleep(50)
  end)
  await tell("t", t)
  log(t:cancelling())
end)

case("R10: a task that cancels itself in a scope is cancelled",
    "t !! CancelledError / 1", async function()
  local t = spawn(async function()
    local _ <close> = asyncio.timeout(50 * U)
    asyncio.current_task():cancel()
    turns()
  end)
  await tell("t", t)
  log(t:cancelling())
end)

case("R11: a barrier that has opened counts the cancelled one out",
    "b -> 1 / a !! CancelledError / 0 false", async function()
  local barrier = asyncio.Barrier(2)
  local a = spawn(tell("a", barrier:wait()))
  turns()
  local b = spawn(tell("b", barrier:wait()))
  await turn()
  a:cancel()
  await asyncio.wait {a, b}
  log(barrier:n_waiting(), barrier:broken())
end)

case("R12: one fails in the turn in which another ends",
    "a+ / b+ / c+ / a- / b- / c~ / group[Boom: a]", async function()
  log(fails(function()
    local tg <close> = asyncio.TaskGroup()
    tg:create_task(worker("a", 0, {fail = "a"}))
    tg:create_task(worker("b", 0))
    tg:create_task(worker("c", 50))
  end))
end)

case("R13: who asks for a lock between release and wake-up comes later",
    "b has it / c has it", async function()
  local lock = asyncio.Lock()
  await lock:acquire()
  local b = taker("b", lock)
  turns(1)
  lock:release()
  local c = taker("c", lock)
  await b
  lock:release()
  await c
end)

case("R14: put_nowait may come before a putter that was woken",
    "0 / false / x / put a / a", async function()
  local q = asyncio.Queue(1)
  q:put_nowait(0)
  local t = spawn(async function()
    await q:put("a")
    log("put a")
  end)
  turns(1)
  log(q:get_nowait())
  q:put_nowait("x")
  turns()
  log(t:done())
  log(q:get_nowait())
  await t
  log(q:get_nowait())
end)

case("R15: two places that are freed in one turn wake two putters",
    "put a / put b / 2", async function()
  local q, tasks = asyncio.Queue(2), {}
  q:put_nowait(0)
  q:put_nowait(1)
  for i, name in ipairs {"a", "b"} do
    tasks[i] = spawn(async function()
      await q:put(name)
      log("put", name)
    end)
  end
  turns(1)
  q:get_nowait()
  q:get_nowait()
  await asyncio.wait(tasks)
  log(q:qsize())
end)

case("R16: a permit for a cancelled waiter without successor comes back",
    "t !! CancelledError / false / ok", async function()
  local sem = asyncio.Semaphore(0)
  local t = taker("t", sem)
  turns(1)
  sem:release()
  t:cancel()
  await t
  log(sem:locked())
  await sem:acquire()
  log("ok")
end)

case("R17: a lock for a cancelled wait_for is free again",
    "t !! CancelledError / false", async function()
  local lock = asyncio.Lock()
  await lock:acquire()
  local t = spawn(tell("t", asyncio.wait_for(lock:acquire(), 50 * U)))
  turns()
  lock:release()
  t:cancel()
  await t
  log(lock:locked())
end)

case("R18: a gathered future that is cancelled is a failure",
    "b+ / b~ / t !! CancelledError", async function()
  local f = asyncio.Future()
  local t = spawn(tell("t", asyncio.gather(f, worker("b", 50))))
  turns()
  f:cancel()
  await t
end)

case("R19: after uncancel a task goes on as if nothing had been",
    "0 / t -> ok / 0", async function()
  local t = spawn(async function()
    asyncio.catch(function() await sleep(50) end)
    log(asyncio.current_task():uncancel())
    local _ <close> = asyncio.timeout(50 * U)
    await sleep(1)
    return "ok"
  end)
  turns(1)
  t:cancel()
  await tell("t", t)
  log(t:cancelling())
end)

case("R20: a second cancel reaches the first await after the catch",
    "1 / t !! CancelledError / 2", async function()
  local t = spawn(async function()
    asyncio.catch(function() await sleep(50) end)
    log(1)
    await turn()
    log(2)
  end)
  turns(1)
  t:cancel()
  turns(1)
  t:cancel()
  await tell("t", t)
  log(t:cancelling())
end)

case("R21: a notified waiter cancelled while it waits for the lock",
    "release / cancelled true / t !! CancelledError / false",
    async function()
  local cond = asyncio.Condition()
  local t = spawn(async function()
    local _ <close> = await cond:acquire()
    local ok, err = asyncio.catch(function() await cond:wait() end)
    log(ok and "woke" or "cancelled", cond:locked())
    if not ok then error(err, 0) end
  end)
  turns(1)
  do
    local _ <close> = await cond:acquire()
    cond:notify()
    turns()
    t:cancel()
    turns()
    log("release")
  end
  await tell("t", t)
  log(cond:locked())
end)

case("R22: one who joins is cancelled in the turn of the last task_done",
    "a !! CancelledError / b -> nil", async function()
  local q = asyncio.Queue()
  q:put_nowait(1)
  local a, b = spawn(tell("a", q:join())), spawn(tell("b", q:join()))
  turns(1)
  a:cancel()
  q:get_nowait()
  q:task_done()
  await asyncio.wait {a, b}
end)

case("R23: as_completed keeps the order of ends within a turn",
    "c / a / b", async function()
  local a, b, c = asyncio.Future(), asyncio.Future(), asyncio.Future()
  asyncio.get_running_loop():call_soon(function()
    c:set_result("c")
    a:set_result("a")
    b:set_result("b")
  end)
  for f in asyncio.as_completed {a, b, c} do log(await f) end
end)
