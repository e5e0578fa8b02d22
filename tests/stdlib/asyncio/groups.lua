-- task groups: leaving the scope waits for all its tasks.

require "tests.cases"

-- Runs body(tg) in a group and logs how it was left.
local function group(label, body)
  local ok, err = asyncio.catch(function()
    local tg <close> = asyncio.TaskGroup()
    await body(tg)
  end)
  log(label, ok and "left" or "!! " .. kind(err))
end

local function cancelling()
  return asyncio.current_task():cancelling()
end

case("Z01: the end of the scope waits for the tasks",
    "body ends / a+ / b+ / a- / b- / group left", async function()
  group("group", async function(tg)
    tg:create_task(worker("a", 1))
    tg:create_task(worker("b", 3))
    log("body ends")
  end)
end)

case("Z02: one failure cancels the others and is raised in a group",
    "body ends / a+ / b+ / a- / b~ / group !! group[Boom: a] / 0",
    async function()
  group("group", async function(tg)
    tg:create_task(worker("a", 1, {fail = "a"}))
    tg:create_task(worker("b", 50))
    log("body ends")
  end)
  log(cancelling())
end)

case("Z04: one failure interrupts the body too",
    "body+ / a+ / a- / body~ / group !! group[Boom: a] / 0",
    async function()
  group("group", async function(tg)
    tg:create_task(worker("a", 1, {fail = "a"}))
    await worker("body", 50)
  end)
  log(cancelling())
end)

case("Z05: three failures in one turn",
    "group !! group[Boom: a, Boom: b, Boom: c]", async function()
  group("group", async function(tg)
    for _, name in ipairs {"a", "b", "c"} do
      tg:create_task((async function() error(Boom.new(name)) end)())
    end
  end)
end)

case("Z06: the clean-up of the others is awaited",
    "a+ / b+ / a- / b~ / b. / group !! group[Boom: a]", async function()
  group("group", async function(tg)
    tg:create_task(worker("a", 1, {fail = "a"}))
    tg:create_task(worker("b", 50, {clean = 2}))
  end)
end)

case("Z07: the body raises before the tasks have run at all",
    "group !! group[Boom: body]", async function()
  group("group", async function(tg)
    tg:create_task(worker("a", 1))
    tg:create_task(worker("b", 1))
    error(Boom.new "body")
  end)
end)

case("Z08: an error of the others' clean-up joins the group",
    "a+ / b+ / a- / b~ / group !! group[Boom: a, Boom: b]",
    async function()
  group("group", async function(tg)
    tg:create_task(worker("a", 1, {fail = "a"}))
    tg:create_task(worker("b", 50, {raise = "b"}))
  end)
end)

case("Z09: cancelling the holder at the end of the group",
    "a+ / b+ / a~ / b~ / group !! CancelledError", async function()
  local k = spawn(async function()
    group("group", async function(tg)
      tg:create_task(worker("a", 50))
      tg:create_task(worker("b", 50))
    end)
  end)
  await sleep(1)
  k:cancel()
  await asyncio.wait {k}
end)

case("Z10: a task that is cancelled by itself is no failure",
    "a+ / b+ / a~ / b- / group left", async function()
  group("group", async function(tg)
    local a = tg:create_task(worker("a", 50))
    tg:create_task(worker("b", 3))
    await sleep(1)
    a:cancel()
  end)
end)

case("Z11: errors win over the cancellation of the holder",
    "a+ / b+ / a~ / b~ / group !! group[Boom: a, Boom: b]",
    async function()
  local k = spawn(async function()
    group("group", async function(tg)
      tg:create_task(worker("a", 50, {raise = "a"}))
      tg:create_task(worker("b", 50, {raise = "b"}))
    end)
  end)
  await sleep(1)
  k:cancel()
  await asyncio.wait {k}
end)

case("Z12: cancelling the holder in the body",
    "body+ / a+ / body~ / a~ / group !! CancelledError / goes on / "
    .. "k -> nil / 1", async function()
  local k = spawn(async function()
    group("group", async function(tg)
      tg:create_task(worker("a", 50))
      await worker("body", 50)
    end)
    await turn()
    log("goes on")
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
  log(k:cancelling())
end)

case("Z13: an inner group that is cancelled adds nothing",
    "a+ / b+ / a- / b~ / outer !! group[Boom: a]", async function()
  group("outer", async function(outer)
    outer:create_task(worker("a", 1, {fail = "a"}))
    local inner <close> = asyncio.TaskGroup()
    inner:create_task(worker("b", 50))
  end)
end)

case("Z14: a task may add another", "a / b+ / b- / group left",
    async function()
  group("group", async function(tg)
    tg:create_task((async function()
      log("a")
      tg:create_task(worker("b", 1))
    end)())
  end)
end)

case("Z15: none is added while the group is being cancelled",
    "a+ / a- / misuse / group !! group[Boom: a]", async function()
  local refused = worker("late", 1)
  group("group", async function(tg)
    tg:create_task(worker("a", 1, {fail = "a"}))
    tg:create_task((async function()
      local _, err = asyncio.catch(function() await sleep(50) end)
      log(fails(tg.create_task, tg, refused))
      error(err, 0)
    end)())
  end)
  asyncio.catch(function() await asyncio.wait_for(refused, 0) end)
end)

case("Z16: none is added after the end", "misuse", async function()
  local outer
  do
    local tg <close> = asyncio.TaskGroup()
    outer = tg
  end
  local refused = turn()
  log(fails(outer.create_task, outer, refused))
  asyncio.catch(function() await refused end)
end)

case("Z17: an error of the body's clean-up joins the group",
    "a+ / a- / group !! group[Boom: a, Boom: body]", async function()
  group("group", async function(tg)
    tg:create_task(worker("a", 1, {fail = "a"}))
    asyncio.catch(function() await sleep(50) end)
    error(Boom.new "body")
  end)
end)

case("Z18: an error of the body cancels the tasks",
    "a+ / a~ / group !! group[Boom: body]", async function()
  group("group", async function(tg)
    tg:create_task(worker("a", 50))
    await sleep(1)
    error(Boom.new "body")
  end)
end)

case("Z19: a limit around a group reaches all",
    "a+ / b+ / c+ / a~ / b~ / c~ / scope !! TimeoutError expired",
    async function()
  local outer
  local ok, err = asyncio.catch(function()
    local t <close> = asyncio.timeout(U)
    outer = t
    local tg <close> = asyncio.TaskGroup()
    for _, name in ipairs {"a", "b", "c"} do
      tg:create_task(worker(name, 50))
    end
  end)
  log("scope", ok or "!!", err, outer:expired() and "expired")
end)

case("Z20: a group may stay empty", "body / group left", async function()
  group("group", async function() log("body") end)
end)

case("Z21: results are read after the group", "a+ / b+ / b- / a- / A B",
    async function()
  local a, b
  do
    local tg <close> = asyncio.TaskGroup()
    a = tg:create_task(worker("a", 3, {value = "A"}))
    b = tg:create_task(worker("b", 1, {value = "B"}))
  end
  log(a:result(), b:result())
end)

case("Z22: a failure of an inner group comes as a group in the outer",
    "a+ / b+ / b- / a~ / outer !! group[group[Boom: b]]", async function()
  group("outer", async function(outer)
    outer:create_task(worker("a", 50))
    local inner <close> = asyncio.TaskGroup()
    inner:create_task(worker("b", 1, {fail = "b"}))
  end)
end)

case("Z23: a failure that the holder was awaiting is told once",
    "a+ / a- / group !! group[Boom: a]", async function()
  group("group", async function(tg)
    local a = tg:create_task(worker("a", 1, {fail = "a"}))
    await a
  end)
end)

case("Z24: tasks have names and can be awaited in the body",
    "nm / a+ / a- / 4 / group left", async function()
  group("group", async function(tg)
    local a = tg:create_task(worker("a", 1, {value = 4}), {name = "nm"})
    log(a:get_name())
    log(await a)
  end)
end)

case("Z26: a holder cancelled while the failed group ends is told later",
    "a+ / b+ / a- / b~ / b. / group !! group[Boom: a] / "
    .. "k !! CancelledError / 1", async function()
  local k = spawn(async function()
    group("group", async function(tg)
      tg:create_task(worker("a", 1, {fail = "a"}))
      tg:create_task(worker("b", 50, {clean = 3}))
    end)
    await turn()
    log("next")
  end)
  await sleep(2)
  k:cancel()
  await tell("k", k)
  log(k:cancelling())
end)

case("Z28: an inner group's failure that is caught leaves the outer alone",
    "a+ / b+ / b- / inner !! group[Boom: b] / outer body goes on / a- / "
    .. "outer left", async function()
  group("outer", async function(outer)
    outer:create_task(worker("a", 3))
    group("inner", async function(inner)
      inner:create_task(worker("b", 1, {fail = "b"}))
    end)
    log("outer body goes on")
  end)
end)

case("Z30: a failed group leaves nothing on the scope around it",
    "a+ / a- / group !! group[Boom: a] / on", async function()
  local _ <close> = asyncio.timeout(50 * U)
  group("group", async function(tg)
    tg:create_task(worker("a", 1, {fail = "a"}))
  end)
  await sleep(1)
  log("on")
end)

case("Z32: cancel of the group cancels its tasks and raises nothing",
    "a+ / b+ / body goes on / a~ / b~ / group left / 0", async function()
  group("group", async function(tg)
    tg:create_task(worker("a", 50))
    tg:create_task(worker("b", 50))
    await sleep(1)
    tg:cancel()
    log("body goes on")
  end)
  log(cancelling())
end)

case("Z34: limit caps how many run at once, in order",
    "2 / {1, 2, 3, 4, 5}", async function()
  local running, most, order = 0, 0, {}
  do
    local tg <close> = asyncio.TaskGroup({limit = 2})
    for i = 1, 5 do
      tg:create_task((async function()
        order[#order + 1] = i
        running = running + 1
        most = math.max(most, running)
        await sleep(1)
        running = running - 1
      end)())
    end
  end
  log(most)
  log(order)
end)

case("Z36: after a failure no queued one starts",
    "a+ / a- / group !! group[Boom: a]", async function()
  local ok, err = asyncio.catch(function()
    local tg <close> = asyncio.TaskGroup({limit = 1})
    tg:create_task(worker("a", 1, {fail = "a"}))
    tg:create_task(worker("b", 1))
    tg:create_task(worker("c", 1))
  end)
  log("group", ok or "!!", err)
end)

case("Z38: pcall catches the group's error", "false group[Boom: a] 1",
    async function()
  local ok, err = pcall(function()
    local tg <close> = asyncio.TaskGroup()
    tg:create_task((async function() error(Boom.new "a") end)())
  end)
  log(ok, err, #err.errors)
end)

case("Z40: values that are no errors can fail a group", "5 / text",
    async function()
  for _, value in ipairs {5, "text"} do
    local _, err = asyncio.catch(function()
      local tg <close> = asyncio.TaskGroup()
      tg:create_task((async function() error(value, 0) end)())
    end)
    local inner = err.errors[1]
    log(asyncio.iserror(inner) and inner.value or inner)
  end
end)

case("Z42: unknown options are refused", "true", async function()
  local _, err = asyncio.catch(asyncio.TaskGroup, {limits = 2})
  log(tostring(err):find("limits", 1, true) ~= nil)
end)

case("Z44: what is given to a limited group is the group's at once",
    "misuse / misuse / 2 named / 3 / misuse / true", async function()
  local async function f(x) return x end
  local used, given = f(1), f(2)
  await used
  local tg <close> = asyncio.TaskGroup {limit = 1}
  log(fails(tg.create_task, tg, used))
  local task = tg:create_task(given, {name = "named"})
  log(fails(await, given))
  log(await task, task:get_name())
  local future = asyncio.Future()
  future:set_result(3)
  log(await tg:create_task(future)) -- any awaitable, as without a limit
  local unused = f(4)
  log(fails(tg.create_task, tg, unused, {nmae = "x"}))
  log(await unused == 4)
end)

case("Z43: a place that was given to a cancelled task goes to the next",
    "a+ / a- / c+ / c-", async function()
  local gate = asyncio.Future()
  local tg <close> = asyncio.TaskGroup {limit = 1}
  tg:create_task((async function()
    log "a+"
    await gate
    log "a-"
  end)())
  local b = tg:create_task(worker("b", 1))
  tg:create_task(worker("c", 1))
  await turn()
  await turn()
  -- a ends in the next turn and gives its place to b, which is cancelled in
  -- the same turn
  gate:add_done_callback(function() b:cancel() end)
  gate:set_result()
end)

case("Z46: a group is used only once", "misuse / misuse / Boom: x",
    async function()
  local tg
  log(fails(function()
    local outer <close> = asyncio.TaskGroup()
    tg = outer
    do local _ <close> = outer end
  end))
  log(fails(function() local _ <close> = tg end))
  local _, e = pcall(function()
    local _ <close> = tg
    error(Boom.new "x")
  end)
  log(e)
end)

case("Z47: a task makes another while its holder is being cancelled",
    "a / k !! CancelledError / true", async function()
  local group, b
  local holder = spawn(async function()
    asyncio.current_task():cancel()
    local tg <close> = asyncio.TaskGroup()
    group = tg
    tg:create_task((async function()
      log "a"
      b = group:create_task(worker("b", 1))
    end)())
  end)
  await tell("k", holder)
  log(b:cancelled())
end)
