-- Tasks and the loop: a new task runs when the current one suspends.

require "tests.cases"

case("T01: a task starts when its maker suspends",
    "spawned / task / back", async function()
  local t = spawn(async function() log("task") end)
  log("spawned")
  await turn()
  log("back")
  await t
end)

case("T02: ready tasks run first in, first out",
    "main / a 1 / b 1 / c 1 / a 2 / b 2 / c 2", async function()
  local tasks = {}
  for i, name in ipairs {"a", "b", "c"} do
    tasks[i] = spawn(async function()
      log(name, 1)
      await turn()
      log(name, 2)
    end)
  end
  log("main")
  await asyncio.wait(tasks)
end)

case("T03: a task can be awaited again", "1 1", async function()
  local t = spawn(async function() return 1 end)
  log(await t, await t)
end)

case("T04: a task raises its error to each who awaits it",
    "1 !! Boom: x / 2 !! Boom: x / failed Boom: x", async function()
  local t = spawn(async function() error(Boom.new "x") end)
  await tell(1, t)
  await tell(2, t)
  log(state(t))
end)

case("T05: a task can be cancelled before it has run at all",
    "true pending / cancelled", async function()
  local t = spawn(worker("a", 1))
  log(t:cancel(), state(t))
  await asyncio.wait {t}
  log(state(t))
end)

case("T06: cancel raises in the task at its await, a turn later",
    "k+ / true pending / k~ / t !! CancelledError / cancelled 1",
    async function()
  local t = spawn(worker("k", 9))
  await sleep(1)
  log(t:cancel(), state(t))
  await tell("t", t)
  log(state(t), t:cancelling())
end)

case("T07: a task may catch its cancellation and give a value",
    "done 9 1", async function()
  local t = spawn(async function()
    asyncio.catch(function() await sleep(50) end)
    return 9
  end)
  await turn()
  t:cancel()
  await asyncio.wait {t}
  log(state(t), t:cancelling())
end)

case("T08: one cancel raises once, so the task can go on awaiting",
    "caught / slept / t -> 3 / done 3 1", async function()
  local t = spawn(async function()
    if not asyncio.catch(function() await sleep(50) end) then log("caught") end
    await turn()
    log("slept")
    await sleep(1)
    return 3
  end)
  await turn()
  t:cancel()
  await tell("t", t)
  log(state(t), t:cancelling())
end)

case("T09: two cancels before the task runs are delivered as one",
    "true true 2 / 1 done nil", async function()
  local caught = 0
  local t = spawn(async function()
    for _ = 1, 3 do
      local ok = asyncio.catch(function() await turn() end)
      if not ok then caught = caught + 1 end
    end
  end)
  await turn()
  log(t:cancel(), t:cancel(), t:cancelling())
  await asyncio.wait {t}
  log(caught, state(t))
end)

case("T10: a second cancel after the first was caught is delivered again",
    "one / 1 / two / t -> 4 / done 4 2", async function()
  local t = spawn(async function()
    if not asyncio.catch(function() await sleep(50) end) then log("one") end
    if not asyncio.catch(function() await sleep(50) end) then log("two") end
    return 4
  end)
  await turn()
  t:cancel()
  await sleep(1)
  log(t:cancelling())
  t:cancel()
  await tell("t", t)
  log(state(t), t:cancelling())
end)

case("T11: uncancel counts down and stops at nought",
    "1 0 0 / done nil", async function()
  local t = spawn(async function()
    asyncio.catch(function() await sleep(50) end)
    local me = asyncio.current_task()
    log(me:uncancel(), me:uncancel(), me:uncancel())
  end)
  await turn()
  t:cancel()
  t:cancel()
  await asyncio.wait {t}
  log(state(t))
end)

case("T12: a finished task cannot be cancelled",
    "false done 1 0", async function()
  local t = spawn(async function() return 1 end)
  await t
  log(t:cancel(), state(t), t:cancelling())
end)

case("T13: a task that cancels itself runs on to its next await",
    "still here / delivered / cancelled", async function()
  local t = spawn(async function()
    asyncio.current_task():cancel()
    log("still here")
    local ok, err = asyncio.catch(function() await asyncio.sleep(0) end)
    if not ok then
      log("delivered")
      error(err, 0)
    end
  end)
  await asyncio.wait {t}
  log(state(t))
end)

case("T14: uncancel takes back a request that was not delivered yet",
    "0 / runs / goes on / t -> 1 / done 1 0", async function()
  local t = spawn(async function()
    log("runs")
    await turn()
    log("goes on")
    return 1
  end)
  t:cancel()
  log(t:uncancel())
  await tell("t", t)
  log(state(t), t:cancelling())
end)

case("T15: a cancelled task that awaits a child cancels it",
    "c+ / c~ / cancelled", async function()
  local child = spawn(worker("c", 50))
  await turn()
  local t = spawn(async function()
    asyncio.current_task():cancel()
    await child
  end)
  await asyncio.wait {t}
  log(state(t))
end)

case("T16: cancelling a parent waits for its child's clean-up",
    "c+ / c~ / c. / parent cancelled / t !! CancelledError",
    async function()
  local child = spawn(worker("c", 50, {clean = 2}))
  local t = spawn(async function()
    local _ <close> = finally(function() log("parent", state(child)) end)
    await child
  end)
  await sleep(1)
  t:cancel()
  await tell("t", t)
end)

case("T17: a child that keeps a value lets its cancelled parent go on",
    "c+ / c~ / got 5 / done end 1", async function()
  local child = spawn(worker("c", 50, {keep = 5}))
  local t = spawn(async function()
    log("got", await child)
    return "end"
  end)
  await sleep(1)
  t:cancel()
  await asyncio.wait {t}
  log(state(t), t:cancelling())
end)

case("T18: another task's cancellation is an ordinary error here",
    "c+ / c~ / p !! CancelledError / done nil 0", async function()
  local child = spawn(worker("c", 50))
  local t = spawn(tell("p", child))
  await sleep(1)
  child:cancel()
  await t
  log(state(t), t:cancelling())
end)

case("T19: an error raised while cancelled is the task's end",
    "k+ / k~ / failed Boom: f", async function()
  local t = spawn(worker("k", 50, {raise = "f"}))
  await turn()
  t:cancel()
  await asyncio.wait {t}
  log(state(t))
end)

case("T20: clean-up may await while the cancellation passes",
    "clean / cleaned / t !! CancelledError", async function()
  local t = spawn(async function()
    local _ <close> = finally(function()
      log("clean")
      await sleep(1)
      log("cleaned")
    end)
    await sleep(50)
  end)
  await turn()
  t:cancel()
  await tell("t", t)
end)

case("T20b: a second cancel interrupts the clean-up",
    "clean / again / t !! CancelledError / 2", async function()
  local t = spawn(async function()
    local _ <close> = finally(function()
      log("clean")
      local _ <close> = finally(function() log("again") end)
      await sleep(50)
    end)
    await sleep(50)
  end)
  await turn()
  t:cancel()
  await sleep(1)
  t:cancel()
  await tell("t", t)
  log(t:cancelling())
end)

local async function deep(n)
  local _ <close> = finally(function() log("finally", n) end)
  if n == 0 then error(Boom.new "deep") end
  await deep(n - 1)
end

case("T21: an error passes each nested call's clean-up",
    "finally 0 / finally 1 / finally 2 / top !! Boom: deep",
    async function()
  await tell("top", deep(2))
end)

case("T22: two tasks that await a failing one are both told, in order",
    "a !! Boom: x / b !! Boom: x", async function()
  local t = spawn(async function()
    await sleep(1)
    error(Boom.new "x")
  end)
  await asyncio.wait {spawn(tell("a", t)), spawn(tell("b", t))}
end)

case("T23: timers go off by time, and those of one moment as they were set",
    "1 / x / y / 3", async function()
  local loop = asyncio.get_running_loop()
  local now = loop:time()
  loop:call_at(now + 3 * U, log, 3)
  loop:call_at(now + 1 * U, log, 1)
  loop:call_at(now + 2 * U, log, "x")
  loop:call_at(now + 2 * U, log, "y")
  await sleep(4)
end)

case("T24: calls soon, later and at a time; a cancelled one never comes",
    "here / soon / later / at", async function()
  local loop = asyncio.get_running_loop()
  loop:call_later(U, log, "later")
  loop:call_soon(log, "soon")
  loop:call_at(loop:time() + 2 * U, log, "at")
  loop:call_later(U, log, "never"):cancel()
  log("here")
  await sleep(3)
end)

case("T25: tasks that are always ready do not starve the timers",
    "cancelled true", async function()
  asyncio._own_clock(false) -- it stands still for them
  local _ <close> = finally(function() asyncio._own_clock(true) end)
  local turns = 0
  local t = spawn(async function()
    while true do
      turns = turns + 1
      await asyncio.sleep(0)
    end
  end)
  later(2, function() t:cancel() end)
  await asyncio.wait {t}
  log(state(t), turns > 1)
end)

case("T26: tasks and callbacks share one line",
    "a / soon / b / main", async function()
  local a = spawn(async function() log("a") end)
  asyncio.get_running_loop():call_soon(log, "soon")
  local b = spawn(async function() log("b") end)
  await turn()
  log("main")
  await asyncio.wait {a, b}
end)

case("T27: a coroutine object that has ended cannot be awaited again",
    "1 / misuse", async function()
  local c = (async function() return 1 end)()
  log(await c)
  log(fails(function() await c end))
end)

case("T28: two tasks cannot await one coroutine object",
    "b !! misuse / a -> 1", async function()
  local c = (async function()
    await sleep(1)
    return 1
  end)()
  await asyncio.wait {spawn(tell("a", c)), spawn(tell("b", c))}
end)

case("T30: a task has a name and is known to all_tasks until it ends",
    "true / x 2 / false", async function()
  local function known(task)
    for _, other in ipairs(asyncio.all_tasks()) do
      if other == task then return true end
    end
    return false
  end
  local before = #asyncio.all_tasks()
  local t = spawn(async function()
    log(asyncio.current_task():get_name(),
      #asyncio.all_tasks() - before + 1)
    await turn()
  end, {name = "x"})
  log(known(t))
  await t
  log(known(t))
end)

case("T31: run inside a running task is an error", "misuse",
    async function()
  local c = turn()
  log(fails(asyncio.run, c))
  asyncio.catch(function() await c end)
end)

case("T32: a task's callback runs before those who awaited it later",
    "cb 5 / main 5", async function()
  local t = spawn(async function() return 5 end)
  t:add_done_callback(function(task) log("cb", task:result()) end)
  log("main", await t)
  await turn()
end)

case("T33: a sleep may be nought or negative, and gives its value", "v",
    async function()
  await asyncio.sleep(-1)
  await asyncio.sleep(0)
  log(await asyncio.sleep(0.001, "v"))
end)

case("T34: a cancel in the turn in which the child ended still arrives",
    "true / t !! CancelledError", async function()
  local t = spawn(async function()
    return await spawn(async function() return 1 end)
  end)
  await turn()
  await turn()
  log(t:cancel())
  await tell("t", t)
end)

local async function nested(n, last)
  if n == 0 then return last() end
  local depth = await nested(n - 1, last)
  return depth + 1
end

case("T35: async calls nest ten thousand deep",
    "10000 / g !! Boom: bottom", async function()
  log(await nested(10000, function() return 0 end))
  await tell("g", nested(10000, function() error(Boom.new "bottom") end))
end)

case("T35b: a task at depth may be parked and cancelled there",
    "10000 / cancelled", async function()
  log(await nested(10000, function()
    await asyncio.sleep(0)
    return 0
  end))
  local t = spawn(nested(10000, function() await sleep(50) end))
  await turn()
  t:cancel()
  await asyncio.wait {t}
  log(state(t))
end)

case("T36: a task that keeps a value when cancelled is done, not cancelled",
    "k+ / k~ / t -> 5 / done 5 1", async function()
  local t = spawn(worker("k", 50, {keep = 5}))
  await sleep(1)
  t:cancel("because")
  await tell("t", t)
  log(state(t), t:cancelling())
end)

case("T38: the message of cancel reaches the task and who awaits it",
    "true / true", async function()
  local function has(err)
    return err.message:find("because", 1, true) ~= nil
  end
  local t = spawn(async function()
    local _, err = asyncio.catch(function() await sleep(50) end)
    log(has(err))
    error(err, 0)
  end)
  await turn()
  t:cancel("because")
  local _, err = asyncio.catch(function() await t end)
  log(has(err))
end)

case("T40: a task cannot await itself", "t !! misuse", async function()
  local t = spawn(async function() await asyncio.current_task() end)
  await tell("t", t)
end)

case("T42: result and exception of a task tell how it ended",
    "InvalidStateError / InvalidStateError / w+ / w- / Boom: x / Boom: x / "
    .. "v+ / v~ / CancelledError / CancelledError", async function()
  local t = spawn(worker("w", 1, {fail = "x"}))
  log(fails(t.result, t))
  log(fails(t.exception, t))
  await asyncio.wait {t}
  log(t:exception())
  log(fails(t.result, t))
  t = spawn(worker("v", 1))
  await turn()
  t:cancel()
  await asyncio.wait {t}
  log(fails(t.result, t))
  log(fails(t.exception, t))
end)

case("T44: tasks that give up turns alternate",
    "a0 / b0 / a1 / b1 / a2 / b2", async function()
  local async function count(name)
    for i = 0, 2 do
      log(name .. i)
      await asyncio.sleep(0)
    end
  end
  await asyncio.wait {spawn(count "a"), spawn(count "b")}
end)

case("T46: the state of a task is running only for the current one",
    "pending / running / pending / done / cancelled", async function()
  local t = spawn(async function()
    log(asyncio.current_task():state())
    await turn()
  end)
  log(t:state())
  await turn()
  log(t:state())
  await t
  log(t:state())
  t = spawn(turn)
  t:cancel()
  await asyncio.wait {t}
  log(t:state())
end)

case("T48: a used coroutine object is refused where the task is made",
    "misuse / misuse", async function()
  local c = turn()
  await c
  log(fails(asyncio.create_task, c))
  c = turn()
  local t = spawn(c)
  log(fails(asyncio.create_task, c))
  await t
end)

case("T50: what is not awaitable is refused where the task is made",
    "misuse / misuse / misuse", async function()
  log(fails(asyncio.create_task, 1))
  log(fails(asyncio.create_task, nil))
  log(fails(asyncio.create_task, {}))
end)

case("T52: a task gives all its values, nil among them", "nil 2 nil 3",
    async function()
  local t = spawn(async function() return nil, 2, nil end)
  local got = table.pack(await t)
  log(got[1], got[2], got[3], got.n)
end)

case("T54: any value can be raised, and nil comes wrapped in an Error",
    "text / 5 / true", async function()
  local function raised(value)
    local t = spawn(async function() error(value, 0) end)
    local _, err = asyncio.catch(function() await t end)
    return err
  end
  log(raised("text"))
  log(raised(5))
  log(asyncio.iserror(raised(nil)))
end)

case("T56: what sleep returns can be given to create_task", "v",
    async function()
  log(await asyncio.create_task(asyncio.sleep(0.001, "v")))
end)

case("T58: options are checked by name and type", "true / true",
    async function()
  local c = turn()
  local _, err = asyncio.catch(asyncio.create_task, c, {nome = "x"})
  log(tostring(err):find("nome", 1, true) ~= nil)
  _, err = asyncio.catch(asyncio.create_task, c, {name = {}})
  log(tostring(err):find("name", 1, true) ~= nil)
  asyncio.catch(function() await c end)
end)

case("T60: an error that nobody retrieved is reported when collected",
    "Boom: lost true", async function()
  asyncio.get_running_loop():set_exception_handler(function(_, context)
    log(context.exception, type(context.message) == "string")
  end)
  spawn(async function() error(Boom.new "lost") end)
  await turn()
  await turn()
  for _ = 1, 3 do
    collectgarbage()
    await turn()
  end
end)

case("T62: the loop holds its tasks strongly", "w+ / w-", async function()
  spawn(worker("w", 2))
  await turn()
  collectgarbage()
  collectgarbage()
  await sleep(4)
end)
