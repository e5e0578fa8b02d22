-- gather: several at once, and their values in order.

require "tests.cases"

local gather = asyncio.gather

-- A task that gathers; what `f` gives is what it awaits.
local function gathering(f)
  return spawn(async function() return await f() end)
end

case("G01: values come in the order asked, not in that of the ends",
    "a+ / b+ / c+ / b- / c- / a- / {a, b, c}", async function()
  log {await gather(worker("a", 3), worker("b", 1), worker("c", 2))}
end)

case("G02: the first failure cancels the others, then it is raised",
    "b+ / a+ / a- / b~ / g !! Boom: a / cancelled", async function()
  local b = spawn(worker("b", 50))
  await tell("g", gather(worker("a", 1, {fail = "a"}), b))
  log(state(b))
end)

case("G03: the failure is raised when the others' clean-up has ended",
    "a+ / b+ / c+ / a- / b~ / c~ / c. / b. / g !! Boom: a",
    async function()
  await tell("g", gather(worker("a", 1, {fail = "a"}),
    worker("b", 50, {clean = 3}), worker("c", 50, {clean = 1})))
end)

case("G04: with return_exceptions a failure stands in its place",
    "a+ / b+ / c+ / b- / c- / a- / {a, Boom: b, c} 3", async function()
  local list = await gather({worker("a", 3), worker("b", 1, {fail = "b"}),
    worker("c", 2)}, {return_exceptions = true})
  log(list, list.n)
end)

case("G05: a child that is cancelled counts as a failure",
    "b+ / a+ / b~ / a~ / g !! CancelledError", async function()
  local b = spawn(worker("b", 50))
  local k = spawn(tell("g", gather(worker("a", 50), b)))
  await sleep(1)
  b:cancel()
  await k
end)

case("G06: with return_exceptions a cancelled child is one in its place",
    "b+ / a+ / b~ / a- / {CancelledError, a}", async function()
  local b = spawn(worker("b", 50))
  local k = gathering(function()
    return gather({b, worker("a", 3)}, {return_exceptions = true})
  end)
  await sleep(1)
  b:cancel()
  log(await k)
end)

case("G07: gather of nothing gives nothing", "0 / 0", async function()
  log(select("#", await gather()))
  local list = await gather({}, {return_exceptions = true})
  log(list.n)
end)

case("G08: gathers nest", "a+ / b+ / c+ / b- / c- / a- / a c",
    async function()
  local inner = gather(worker("a", 3), worker("b", 1))
  log(await gather(inner, worker("c", 2)))
end)

case("G09: the same coroutine object twice runs once",
    "c+ / d+ / c- / d- / {7, 8, 7}", async function()
  local c = worker("c", 1, {value = 7})
  log {await gather(c, worker("d", 2, {value = 8}), c)}
end)

case("G10: futures, tasks and coroutine objects can be mixed",
    "t+ / c+ / t- / c- / {f, t, c}", async function()
  local f = asyncio.Future()
  local t = spawn(worker("t", 1))
  later(4, function() f:set_result("f") end)
  log {await gather(f, t, worker("c", 2))}
end)

case("G11: cancelling the outer of two gathers cancels all",
    "a+ / b+ / c+ / a~ / b~ / c~ / k !! CancelledError", async function()
  local k = gathering(function()
    return gather(gather(worker("a", 50), worker("b", 50)), worker("c", 50))
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
end)

case("G12: a cancelled gather waits for its children's clean-up",
    "a+ / b+ / a~ / b~ / b. / k !! CancelledError / cancelled 1",
    async function()
  local k = gathering(function()
    return gather(worker("a", 50), worker("b", 50, {clean = 1}))
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
  log(state(k), k:cancelling())
end)

case("G13: an error of a child being cancelled wins",
    "a+ / b+ / a~ / b~ / k !! Boom: a", async function()
  local k = gathering(function()
    return gather(worker("a", 50, {raise = "a"}), worker("b", 50))
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
end)

case("G14: return_exceptions does not hide one's own cancellation",
    "a+ / b+ / a~ / b~ / k !! CancelledError", async function()
  local k = gathering(function()
    return gather({worker("a", 50), worker("b", 50)},
      {return_exceptions = true})
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
end)

case("G16: gather gives a future whose children have started",
    "made / a+ / b+ / turn false / a- / b- / {a, b} true",
    async function()
  local all = gather(worker("a", 1), worker("b", 2))
  log("made")
  await turn()
  log("turn", all:done())
  log({await all}, all:done())
end)

case("G18: the future of a gather can be cancelled itself",
    "a+ / b+ / true / a~ / b~ / g !! CancelledError", async function()
  local all = gather(worker("a", 50), worker("b", 50))
  await sleep(1)
  log(all:cancel())
  await tell("g", all)
end)

case("G20: gather of finished tasks gives their values",
    "a+ / b+ / a- / b- / {b, a}", async function()
  local a, b = spawn(worker("a", 0)), spawn(worker("b", 0))
  await asyncio.wait {a, b}
  log {await gather(b, a)}
end)

case("G22: children that keep values do not undo the cancellation",
    "a+ / b+ / a~ / b~ / k !! CancelledError", async function()
  local k = gathering(function()
    return gather(worker("a", 50, {keep = 1}), worker("b", 50, {keep = 2}))
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
end)

case("G24: a callback on the gather comes before its awaiter",
    "a+ / a- / cb a", async function()
  local all = gather(worker("a", 1))
  all:add_done_callback(function(future) log("cb", future:result()) end)
  await all
  await turn()
end)

case("G26: a gather that is done cannot be cancelled", "a+ / a- / false",
    async function()
  local all = gather(worker("a", 0))
  await all
  log(all:cancel())
end)

case("G28: one value is taken of each, nil included", "nil 2 nil 3",
    async function()
  local got = table.pack(await gather(
    (async function() return nil end)(),
    (async function() return 2, 3 end)(),
    (async function() end)()))
  log(got[1], got[2], got[3], got.n)
end)

case("G30: an error that is no Error is wrapped when it is a value",
    "true text / true 5", async function()
  local list = await gather({
    (async function() error("text", 0) end)(),
    (async function() error(5) end)(),
  }, {return_exceptions = true})
  for i = 1, 2 do log(asyncio.iserror(list[i]), list[i].value) end
end)

case("G32: two failures in one turn: the first asked is raised",
    "a+ / b+ / a- / b- / g !! Boom: a", async function()
  await tell("g", gather(worker("a", 0, {fail = "a"}),
    worker("b", 0, {fail = "b"})))
end)

case("G34: an unknown option and what cannot be awaited are refused",
    "true / misuse", async function()
  local c = turn()
  local _, err = asyncio.catch(gather, {c}, {return_exception = true})
  log(tostring(err):find("return_exception", 1, true) ~= nil)
  asyncio.catch(function() await c end)
  log(fails(gather, 5))
end)

case("G36: a thousand are gathered in order", "true", async function()
  local list = {}
  for i = 1, 1000 do
    list[i] = (async function()
      await asyncio.sleep((i % 7) / 1000)
      return i
    end)()
  end
  local got, right = await gather(list, {return_exceptions = true}), true
  for i = 1, 1000 do right = right and got[i] == i end
  log(right)
end)

case("G38: a list without options gives a list", "{1, 2} 2",
    async function()
  local list = await gather({sleep(0, 1), sleep(0, 2)}, {})
  log(list, list.n)
end)

-- The children of a gather become tasks when their turn comes, or when
-- somebody looks.

-- Whether the last n of all tasks were made one after the other.
local function in_a_row(n)
  local all, last = asyncio.all_tasks()
  for i = #all - n + 1, #all do
    local number = tonumber(all[i]:get_name():match("^Task%-(%d+)$"))
    if last and number ~= last + 1 then return false end
    last = number
  end
  return true
end

case("G40: who looks for tasks finds children that have not started",
    "4 / true / x+ / a+ / b+ / y+ / x- / a- / b- / y-", async function()
  local before = #asyncio.all_tasks()
  local x = spawn(worker("x", 0))
  local g = gather(worker("a", 0), worker("b", 0))
  local y = spawn(worker("y", 0))
  log(#asyncio.all_tasks() - before)
  log(in_a_row(4))
  await gather(x, g, y)
end)

case("G41: a child that looks finds those behind it, and they still start",
    "a / 3 true / c / {1, 2, 3}", async function()
  local before = #asyncio.all_tasks()
  log {await gather(
    (async function() log "a" return 1 end)(),
    (async function()
      log(#asyncio.all_tasks() - before + 1, in_a_row(2))
      return 2
    end)(),
    (async function() log "c" return 3 end)())}
end)

case("G42: a gather that is cancelled before its children start runs none",
    "a cancelled true", async function()
  local ran = 0
  local function child() return (async function() ran = ran + 1 end)() end
  local g = gather(child(), child())
  g:cancel()
  local ok, e = asyncio.catch(await, g)
  log("a cancelled", not ok and ran == 0 and
      asyncio.iserror(e, asyncio.CancelledError))
end)

case("G43: a child that cancels the gather keeps those behind it from running",
    "a / b / cancelled", async function()
  local g
  g = gather(
    (async function() log "a" end)(),
    (async function() log "b" g:cancel() end)(),
    (async function() log "c" end)())
  local _, e = asyncio.catch(await, g)
  log(asyncio.iserror(e, asyncio.CancelledError) and "cancelled")
end)

case("G44: children that wait, fail and end at once, in any mixture",
    "true", async function()
  local list = {}
  for i = 1, 300 do
    list[i] = (async function()
      if i % 3 == 0 then await asyncio.sleep(0) end
      if i % 7 == 0 then error(i, 0) end
      if i % 11 == 0 then asyncio.current_task():set_name("mine") end
      return i
    end)()
  end
  local got, right = await gather(list, {return_exceptions = true}), true
  for i = 1, 300 do
    local e = got[i]
    if i % 7 == 0 then e = asyncio.iserror(e) and e.value end
    right = right and e == i
  end
  log(right)
end)

case("G45: one that is no awaitable leaves the others as they were",
    "false / 1", async function()
  local c = sleep(0, 1)
  log((pcall(gather, c, 5)))
  log(await c)
end)

case("G46: what a child sets is its own, though all run on one thread",
    "none 1 / none 2 / none", async function()
  local var = asyncio.ContextVar("v", "none")
  local async function child(i)
    local before = var:get()
    var:set(i)
    log(before, var:get())
  end
  await gather(child(1), child(2))
  log(var:get())
end)

case("G47: a future that is done before a failed child has told of it",
    "bad / bad / 1", async function()
  local function failing(f)
    return (async function() f:set_result(1) error("bad", 0) end)()
  end
  local f = asyncio.Future()
  local _, e = pcall(await, gather(failing(f), f))
  log(e)
  f = asyncio.Future()
  local list = await gather({failing(f), f}, {return_exceptions = true})
  log(list[1].value)
  log(list[2])
end)

case("G48: a child that is named twice is cancelled twice, as it has it",
    "2 / 2 cancelled", async function()
  local c = asyncio.Future()
  local t = spawn(async function() await c end)
  local g = gather(t, t)
  await turn()
  g:cancel()
  log(t:cancelling())
  await asyncio.wait {g}
  local counted
  local async function child()
    local _ <close> = finally(function()
      counted = asyncio.current_task():cancelling()
    end)
    await sleep(9)
  end
  local one = spawn(async function()
    local x = child()
    await gather(x, x)
  end)
  await turn()
  await turn()
  one:cancel()
  await asyncio.wait {one}
  log(counted, state(one))
end)

case("G49: a gather that was cancelled has failed, and is not cancelled",
    "a+ / b+ / a~ / b~ / false CancelledError / false CancelledError",
    async function()
  local kept = gather(worker("a", 9, {keep = 5}))
  local listed = gather({worker("b", 9)}, {return_exceptions = true})
  await turn()
  for _, g in ipairs {kept, listed} do
    g:cancel()
    await asyncio.wait {g}
  end
  log(kept:cancelled(), kept:exception())
  log(listed:cancelled(), listed:exception())
end)

case("G50: a child without a value leaves none of what it had", "{nil, nil} 2",
    async function()
  local async function child()
    local function deep(...) return select("#", ...) end
    await turn()
    deep(1, 2, 3, "left", "on", "the", "stack")
  end
  local list = await asyncio.gather {child(), child()}
  log(list, list.n)
end)
