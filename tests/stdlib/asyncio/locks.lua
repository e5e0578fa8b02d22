-- locks, events and conditions: first come, first served.

require "tests.cases"

-- A task that holds the lock for so many units.
local function holder(lock, name, units)
  return spawn(async function()
    local _ <close> = await lock:acquire()
    log(name .. "[")
    await sleep(units)
    log(name .. "]")
  end)
end

-- A task that acquires and keeps, and logs how that went.
local function taker(name, lock)
  return spawn(async function()
    local ok, err = asyncio.catch(function() await lock:acquire() end)
    log(name, ok and "has it" or "!! " .. kind(err))
  end)
end

case("L01: a lock goes round in the order in which it was asked for",
    "a[ / a] / b[ / b] / c[ / c] / false", async function()
  local lock = asyncio.Lock()
  await asyncio.wait {holder(lock, "a", 1), holder(lock, "b", 1),
    holder(lock, "c", 1)}
  log(lock:locked())
end)

case("L02: a free lock is had at once", "false / true / false",
    async function()
  local lock = asyncio.Lock()
  log(lock:locked())
  await lock:acquire()
  log(lock:locked())
  lock:release()
  log(lock:locked())
end)

case("L03: a lock released to a waiter that is cancelled goes to the next",
    "c[ / c] / cancelled false", async function()
  local lock = asyncio.Lock()
  await lock:acquire()
  local b, c = holder(lock, "b", 1), holder(lock, "c", 1)
  await turn()
  lock:release()
  b:cancel()
  await asyncio.wait {b, c}
  log(state(b), lock:locked())
end)

case("L04: a waiter that was cancelled is passed over",
    "a !! CancelledError / release / b has it / true", async function()
  local lock = asyncio.Lock()
  await lock:acquire()
  local a, b = taker("a", lock), taker("b", lock)
  await turn()
  a:cancel()
  await asyncio.wait {a}
  log("release")
  lock:release()
  await b
  log(lock:locked())
  lock:release()
end)

case("L05: releasing a lock that nobody holds is an error", "misuse",
    async function()
  local lock = asyncio.Lock()
  log(fails(lock.release, lock))
end)

case("L06: an error in the scope releases the lock", "Boom: x false",
    async function()
  local lock = asyncio.Lock()
  log(fails(function()
    local _ <close> = await lock:acquire()
    error(Boom.new "x")
  end), lock:locked())
end)

case("L07: nobody overtakes a waiter", "locked false / b[ / b] / again",
    async function()
  local lock = asyncio.Lock()
  await lock:acquire()
  local b = holder(lock, "b", 1)
  await turn()
  lock:release()
  log("locked", lock:locked())
  await lock:acquire()
  log("again")
  lock:release()
  await b
end)

case("L08: a holder that is cancelled hands the lock on",
    "k[ / w has it / true", async function()
  local lock = asyncio.Lock()
  local k = holder(lock, "k", 50)
  await turn()
  local w = taker("w", lock)
  await turn()
  k:cancel()
  await asyncio.wait {k, w}
  log(lock:locked())
  lock:release()
end)

case("L10: waiting in vain leaves the lock as it was",
    "TimeoutError / true / false / true", async function()
  local lock = asyncio.Lock()
  await lock:acquire()
  log(fails(function() await asyncio.wait_for(lock:acquire(), U) end))
  log(lock:locked())
  lock:release()
  log(lock:locked())
  await asyncio.wait_for(lock:acquire(), U)
  log(lock:locked())
  lock:release()
end)

case("L12: a guard releases once, and only its own lock", "b[ / b] / false",
    async function()
  local lock = asyncio.Lock()
  local b
  do
    local _ <close> = await lock:acquire()
    b = holder(lock, "b", 1)
    await turn()
  end
  await b
  log(lock:locked())
end)

case("E01: set wakes those who wait in order, and who comes after goes on",
    "set / c true / a true / b true", async function()
  local event = asyncio.Event()
  local a = spawn(async function() log("a", await event:wait()) end)
  local b = spawn(async function() log("b", await event:wait()) end)
  await turn()
  event:set()
  log("set")
  log("c", await event:wait())
  await asyncio.wait {a, b}
end)

case("E02: an event is set and cleared", "false / true true / false",
    async function()
  local event = asyncio.Event()
  log(event:is_set())
  event:set()
  log(event:is_set(), await event:wait())
  event:clear()
  log(event:is_set())
end)

case("E03: a cancelled waiter does not disturb the others",
    "a !! CancelledError / b -> true", async function()
  local event = asyncio.Event()
  local a, b = spawn(tell("a", event:wait())), spawn(tell("b", event:wait()))
  await turn()
  a:cancel()
  await turn()
  event:set()
  await asyncio.wait {a, b}
end)

case("E04: set and clear in one turn still wake those who wait",
    "a -> true / false", async function()
  local event = asyncio.Event()
  local a = spawn(tell("a", event:wait()))
  await turn()
  event:set()
  event:clear()
  await a
  log(event:is_set())
end)

case("E06: setting twice wakes once",
    "set / a -> true / b -> true / c -> true", async function()
  local event, tasks = asyncio.Event(), {}
  for i, name in ipairs {"a", "b", "c"} do
    tasks[i] = spawn(tell(name, event:wait()))
  end
  await turn()
  event:set()
  event:set()
  log("set")
  await asyncio.wait(tasks)
end)

-- A task that waits on the condition and logs that it has woken.
local function sleeper(cond, name, words)
  return spawn(async function()
    local _ <close> = await cond:acquire()
    if words then log(name, "waits") end
    await cond:wait()
    if words then
      log(name, "wakes, locked", cond:locked())
    else
      log(name)
    end
  end)
end

case("C01: notify wakes one, notify_all all, each with the lock",
    "a waits / b waits / c waits / a wakes, locked true / all / "
    .. "b wakes, locked true / c wakes, locked true", async function()
  local cond, tasks = asyncio.Condition(), {}
  for i, name in ipairs {"a", "b", "c"} do
    tasks[i] = sleeper(cond, name, true)
  end
  await sleep(1)
  do
    local _ <close> = await cond:acquire()
    cond:notify(1)
  end
  await sleep(1)
  log("all")
  do
    local _ <close> = await cond:acquire()
    cond:notify_all()
  end
  await asyncio.wait(tasks)
end)

case("C02: a condition wants its lock held",
    "misuse / misuse / misuse", async function()
  local cond = asyncio.Condition()
  log(fails(cond.notify, cond))
  log(fails(cond.notify_all, cond))
  log(fails(function() await cond:wait() end))
end)

case("C03: wait_for looks again at each notification",
    "still waiting true / result true", async function()
  local cond, ready = asyncio.Condition(), false
  local t = spawn(async function()
    local _ <close> = await cond:acquire()
    log("result", await cond:wait_for(function() return ready end))
  end)
  local function notify()
    local _ <close> = await cond:acquire()
    cond:notify_all()
  end
  await turn()
  notify()
  await sleep(1)
  log("still waiting", not t:done())
  ready = true
  notify()
  await t
end)

case("C04: a cancelled waiter has the lock again before it is told",
    "holding / locked true / w !! CancelledError / false",
    async function()
  local cond = asyncio.Condition()
  local t = spawn(async function()
    local _ <close> = await cond:acquire()
    local _ <close> = finally(function() log("locked", cond:locked()) end)
    await cond:wait()
  end)
  await turn()
  do
    local _ <close> = await cond:acquire()
    t:cancel()
    await turn()
    await turn()
    log("holding")
  end
  await tell("w", t)
  log(cond:locked())
end)

case("C06: a notification for a waiter that is cancelled is not lost",
    "b / a !! CancelledError / true", async function()
  local cond = asyncio.Condition()
  local a, b = sleeper(cond, "a"), sleeper(cond, "b")
  await turn()
  do
    local _ <close> = await cond:acquire()
    cond:notify(1)
    a:cancel()
  end
  await tell("a", a)
  await sleep(1)
  log(b:done())
  b:cancel()
  await asyncio.wait {b}
end)

case("C08: notify wakes as many as it is told, in order",
    "notified / a / b / two / c", async function()
  local cond, tasks = asyncio.Condition(), {}
  for i, name in ipairs {"a", "b", "c"} do tasks[i] = sleeper(cond, name) end
  await turn()
  do
    local _ <close> = await cond:acquire()
    cond:notify(2)
    log("notified")
  end
  await sleep(1)
  log("two")
  do
    local _ <close> = await cond:acquire()
    cond:notify(5)
  end
  await asyncio.wait(tasks)
end)

case("C10: a condition may share a lock", "true true / false",
    async function()
  local lock = asyncio.Lock()
  local cond = asyncio.Condition(lock)
  do
    local _ <close> = await cond:acquire()
    log(lock:locked(), cond:locked())
  end
  log(lock:locked())
end)

case("C12: waiting in vain gives the lock back",
    "TimeoutError true / false", async function()
  local cond = asyncio.Condition()
  do
    local _ <close> = await cond:acquire()
    log(fails(function() await asyncio.wait_for(cond:wait(), U) end),
      cond:locked())
  end
  log(cond:locked())
end)

case("C14: wait gives true", "true", async function()
  local cond = asyncio.Condition()
  local t = spawn(async function()
    local _ <close> = await cond:acquire()
    return await cond:wait()
  end)
  await turn()
  do
    local _ <close> = await cond:acquire()
    cond:notify()
  end
  log(await t)
end)
