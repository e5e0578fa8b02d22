-- Cancellation: no ordinary pcall swallows the task's own.

require "tests.cases"

local function nap() await sleep(50) end

local async function nap_async() await sleep(50) end

local function cancelled(f)
  local t = spawn(f)
  await turn()
  t:cancel()
  await asyncio.wait {t}
  return t
end

case("P01: pcall lets the task's own cancellation pass", "cancelled",
    async function()
  log(state(cancelled(async function()
    pcall(nap)
    log("swallowed")
  end)))
end)

case("P02: xpcall lets it pass, and does not call its handler",
    "cancelled", async function()
  log(state(cancelled(async function()
    xpcall(nap, function(e) log("handler") return e end)
    log("swallowed")
  end)))
end)

case("P03: coroutine.resume lets it pass", "cancelled", async function()
  log(state(cancelled(async function()
    coroutine.resume(coroutine.create(nap))
    log("swallowed")
  end)))
end)

case("P04: coroutine.wrap lets it pass", "cancelled", async function()
  log(state(cancelled(async function()
    coroutine.wrap(nap)()
    log("swallowed")
  end)))
end)

case("P05: pcalls in pcalls let it pass", "cancelled", async function()
  log(state(cancelled(async function()
    pcall(pcall, function() pcall(pcall, nap) log("swallowed") end)
    log("swallowed")
  end)))
end)

case("P06: pcall catches another task's cancellation",
    "false CancelledError / done nil 0", async function()
  local child = spawn(nap_async)
  local t = spawn(async function()
    log(pcall(function() await child end))
  end)
  await turn()
  child:cancel()
  await asyncio.wait {t}
  log(state(t), t:cancelling())
end)

case("P07: pcall catches what clean-up raises instead",
    "false Boom: x / done nil", async function()
  log(state(cancelled(async function()
    log(pcall(function()
      local ok = asyncio.catch(nap)
      if not ok then error(Boom.new "x") end
    end))
  end)))
end)

case("P08: the deferred run from the inside out, and may await",
    "c / b / a / cancelled", async function()
  log(state(cancelled(async function()
    local _ <close> = finally(function() await turn() log("a") end)
    pcall(function()
      local _ <close> = finally(function() await sleep(1) log("b") end)
      local _ <close> = finally(function() log("c") end)
      await sleep(50)
    end)
    log("swallowed")
  end)))
end)

case("P09: a task that raises another's CancelledError is cancelled",
    "cancelled", async function()
  local child = spawn(nap_async)
  local t = spawn(async function() await child end)
  await turn()
  child:cancel()
  await asyncio.wait {t}
  log(state(t))
end)

case("P10: a CancelledError of one's own making cancels the task too",
    "cancelled", async function()
  local t = spawn(async function()
    error(asyncio.CancelledError.new "enough")
  end)
  await asyncio.wait {t}
  log(state(t))
end)

case("P11: cancelling reaches a queue's getter, and nothing is lost",
    "cancelled 0 / 5", async function()
  local q = asyncio.Queue()
  local t = cancelled(async function() q:put_nowait(await q:get()) end)
  log(state(t), q:qsize())
  q:put_nowait(5)
  log(await q:get())
end)

case("P12: catch gives what f gives, and passes arguments on",
    "true 1 nil 3 / false text", async function()
  log(asyncio.catch(function(...) return ... end, 1, nil, 3))
  log(asyncio.catch(error, "text", 0))
end)

case("P13: catch sees the cancellation; raised again, it passes pcall",
    "CancelledError / cancelled 1", async function()
  local t = cancelled(async function()
    pcall(function()
      local _, err = asyncio.catch(nap)
      log(err)
      error(err, 0)
    end)
    log("swallowed")
  end)
  log(state(t), t:cancelling())
end)

case("P14: after a caught cancellation pcall catches as ever",
    "false Boom: x / done nil", async function()
  log(state(cancelled(async function()
    asyncio.catch(nap)
    log(pcall(function()
      await turn()
      error(Boom.new "x")
    end))
  end)))
end)

case("P15: a cancel reaches a task through a generator it runs",
    "1 / cancelled", async function()
  local t = cancelled(async function()
    local values = coroutine.wrap(function()
      coroutine.yield(1)
      await sleep(50)
      coroutine.yield(2)
    end)
    for value in values do log(value) end
  end)
  log(state(t))
end)

case("P16: a defer runs on an ordinary end and on an error as well",
    "a / b / false Boom: x", async function()
  do local _ <close> = finally(function() log("a") end) end
  log(pcall(function()
    local _ <close> = finally(function() log("b") end)
    error(Boom.new "x")
  end))
end)

case("P17: a cancelled task awaits a child of its own in clean-up",
    "c+ / c- / cancelled", async function()
  log(state(cancelled(async function()
    local _ <close> = finally(function() await spawn(worker("c", 1)) end)
    await sleep(50)
  end)))
end)

case("P18: cancelling a task that awaits inline reaches the innermost call",
    "in / mid / out / cancelled", async function()
  local async function inner()
    local _ <close> = finally(function() log("in") end)
    await sleep(50)
  end
  local async function middle()
    local _ <close> = finally(function() log("mid") end)
    await inner()
  end
  log(state(cancelled(async function()
    local _ <close> = finally(function() log("out") end)
    await middle()
  end)))
end)

case("P19: a cancellation that has ended an await cannot be taken back",
    "0 cancelled / 0 cancelled / 0 cancelled", async function()
  local q = asyncio.Queue()
  for _, f in ipairs {
    function() await sleep(1) end,
    function() await q:get() end,
    function() await asyncio.Future() end,
  } do
    local t = spawn(async function() f() end)
    await turn()
    t:cancel()
    local left = t:uncancel()
    await asyncio.wait {t}
    log(left, state(t))
  end
end)

case("P20: one that has found no await yet can be taken back",
    "0 done 5 / 0 done 5 / 0 done item", async function()
  local q = asyncio.Queue()
  for i, f in ipairs {
    function() await sleep(0) return 5 end,
    function() await sleep(1) return 5 end,
    function() return await q:get() end,
  } do
    local t = spawn(async function() return f() end)
    if i ~= 2 then await turn() end
    if i == 3 then q:put_nowait("item") end
    t:cancel()
    local left = t:uncancel()
    await asyncio.wait {t}
    log(left, state(t))
  end
end)

-- The message of the CancelledError that f gets, or nil.
local function message_of(f, ...)
  local ok, e = asyncio.catch(f, ...)
  if ok then return nil end
  return e.message
end

case("P21: the message of a cancellation goes with it",
    "child why / parent why / gathered why / outer why", async function()
  local async function sleeper(name)
    local m = message_of(function() await sleep(9) end)
    log(name, m)
    error(asyncio.CancelledError.new(m), 0)
  end
  local child = spawn(sleeper("child"))
  local parent = spawn(async function()
    log("parent", message_of(await, child))
  end)
  local outer = spawn(async function()
    log("outer", message_of(await, asyncio.gather(sleeper("gathered"))))
  end)
  await turn()
  await turn()
  parent:cancel("why")
  await asyncio.wait {parent}
  outer:cancel("why")
  await asyncio.wait {outer}
end)

case("P22: of two cancellations before a task runs, the one that was sent",
    "first / last / the task was cancelled", async function()
  local waiting = spawn(async function()
    log(message_of(function() await sleep(9) end))
  end)
  await turn()
  waiting:cancel("first")
  waiting:cancel("last")
  await waiting
  local running = spawn(async function()
    local me = asyncio.current_task()
    me:cancel("first")
    me:cancel("last")
    log(message_of(function() await sleep(0) end))
    me:cancel("first")
    me:cancel()
    log(message_of(function() await sleep(0) end))
  end)
  await running
end)

case("a cancellation that comes back from another task has its message",
    "mine / mine", async function()
  local child = spawn(async function()
    asyncio.catch(await, asyncio.Future())
    error(asyncio.CancelledError.new "mine")
  end)
  local parent = spawn(async function()
    local ok, e = asyncio.catch(await, child)
    log(e.message)
    error(e, 0)
  end)
  await turn()
  parent:cancel "yours"
  log(select(2, pcall(await, parent)).message)
end)

case("requests that are too many to count are not forgotten", "true false",
    async function()
  local me = asyncio.current_task()
  for _ = 1, 65536 do me:cancel() end
  local counted = me:cancelling() > 0
  log(counted, (asyncio.catch(await, asyncio.sleep(0))))
  while me:cancelling() > 0 do me:uncancel() end
end)
