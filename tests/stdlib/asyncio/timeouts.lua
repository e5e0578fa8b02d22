-- timeout scopes: the scope's own cancellation becomes a time-out error.

require "tests.cases"

-- Runs body(scope) in a scope of so many units and logs how it was left.
local function scope(units, body)
  local outer
  local ok, err = asyncio.catch(function()
    local t <close> = asyncio.timeout(units and units * U)
    outer = t
    await body(t)
  end)
  local how = ok and "left" or "!! " .. kind(err)
  log("scope", how, outer:expired() and "expired" or "not expired")
end

local function cancelling()
  return asyncio.current_task():cancelling()
end

local async function nap() await sleep(50) end

case("Y01: the limit passes", "scope !! TimeoutError expired / 0",
    async function()
  scope(1, nap)
  log(cancelling())
end)

case("Y02: the body ends in time",
    "w+ / w- / scope left not expired / 0", async function()
  scope(50, async function() await worker("w", 1) end)
  log(cancelling())
end)

case("Y03: there may be no limit", "scope left not expired / nil",
    async function()
  local when = 0
  scope(nil, async function(t)
    when = t:when()
    await sleep(1)
  end)
  log(when)
end)

case("Y04: no time at all stops the body at its first await",
    "body / scope !! TimeoutError expired / "
    .. "body / scope !! TimeoutError expired", async function()
  local async function body()
    log("body")
    await turn()
    log("went on")
  end
  scope(0, body)
  scope(-1, body)
end)

case("Y05: a body that never suspends is not interrupted",
    "body / scope left not expired", async function()
  scope(0, async function() log("body") end)
end)

case("Y06: a body that catches the cancellation leaves in peace",
    "w+ / w~ / scope left expired / 0", async function()
  scope(1, async function() await worker("w", 50, {keep = 1}) end)
  log(cancelling())
end)

case("Y07: an error of the body's clean-up comes instead",
    "w+ / w~ / scope !! Boom: f expired / 0", async function()
  scope(1, async function() await worker("w", 50, {raise = "f"}) end)
  log(cancelling())
end)

case("Y08: the body's clean-up is awaited",
    "w+ / w~ / w. / scope !! TimeoutError expired", async function()
  scope(1, async function() await worker("w", 50, {clean = 2}) end)
end)

case("Y09: a cancel from outside stays a cancellation",
    "scope !! CancelledError not expired", async function()
  local k = spawn(async function() scope(50, nap) end)
  await sleep(1)
  k:cancel()
  await asyncio.wait {k}
end)

case("Y10: an inner limit is the inner scope's affair",
    "w+ / w~ / scope !! TimeoutError expired / outer goes on / "
    .. "scope left not expired", async function()
  scope(50, async function()
    scope(1, async function() await worker("w", 50) end)
    await turn()
    log("outer goes on")
  end)
end)

case("Y11: an outer limit passes the inner scope as a cancellation",
    "inner cancelled false / outer !! TimeoutError expired",
    async function()
  local outer
  local ok, err = asyncio.catch(function()
    local t <close> = asyncio.timeout(U)
    outer = t
    local inner
    local _, e = asyncio.catch(function()
      local s <close> = asyncio.timeout(9 * U)
      inner = s
      await sleep(50)
    end)
    log(asyncio.iserror(e, asyncio.CancelledError) and "inner cancelled",
      inner:expired())
    error(e, 0)
  end)
  log("outer", ok or "!!", err, outer:expired() and "expired")
end)

case("Y13: a limit can be moved away", "scope left not expired",
    async function()
  scope(1, async function(t)
    t:reschedule(asyncio.time() + 50 * U)
    await sleep(3)
  end)
end)

case("Y14: a limit moved into the past is reached at the next await",
    "moved / scope !! TimeoutError expired", async function()
  scope(50, async function(t)
    t:reschedule(asyncio.time() - 1)
    log("moved")
    await sleep(50)
  end)
end)

case("Y15: a limit can be taken away", "scope left not expired",
    async function()
  scope(1, async function(t)
    t:reschedule(nil)
    await sleep(3)
  end)
end)

case("Y16: when tells the limit", "true false / nil / scope left not expired",
    async function()
  scope(50, async function(t)
    local when = t:when()
    t:reschedule(when + 1)
    log(math.abs(t:when() - when - 1) < 1e-6, t:expired())
    t:reschedule(nil)
    log(t:when())
  end)
end)

case("Y18: a scope that has ended cannot be rescheduled", "misuse",
    async function()
  local outer
  do
    local t <close> = asyncio.timeout(50 * U)
    outer = t
  end
  log(fails(outer.reschedule, outer, nil))
end)

case("Y19: a scope in the clean-up of a cancelled task runs out as ever",
    "scope !! TimeoutError expired / 1 / done nil", async function()
  local k = spawn(async function()
    asyncio.catch(function() await nap() end)
    scope(1, nap)
    log(cancelling())
  end)
  await turn()
  k:cancel()
  await asyncio.wait {k}
  log(state(k))
end)

case("Y20: an error of the body passes", "scope !! Boom: b not expired",
    async function()
  scope(50, async function() error(Boom.new "b") end)
end)

case("Y21: a limit reaches all that a gather runs",
    "a+ / b+ / a~ / b~ / scope !! TimeoutError expired", async function()
  scope(1, async function()
    await asyncio.gather(worker("a", 50), worker("b", 50))
  end)
end)

case("Y22: a task goes on after a cancel that was caught outside its scope",
    "w+ / w~ / scope !! CancelledError not expired / end / k -> nil / 1",
    async function()
  local k = spawn(async function()
    scope(50, async function() await worker("w", 50) end)
    await sleep(1)
    log("end")
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
  log(k:cancelling())
end)

case("Y23: a limit in the clean-up of a cancel leaves it a cancellation",
    "clean / interrupted / k !! CancelledError / 1", async function()
  local k = spawn(async function()
    local _ <close> = asyncio.timeout(3 * U)
    local _ <close> = finally(function()
      log("clean")
      local _ <close> = finally(function() log("interrupted") end)
      await sleep(50)
    end)
    await sleep(50)
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
  log(k:cancelling())
end)

case("Y24: timeout_at takes a moment", "TimeoutError / 0 / body / TimeoutError",
    async function()
  log(fails(function()
    local _ <close> = asyncio.timeout_at(asyncio.time() + U)
    await sleep(50)
  end))
  log(cancelling())
  log(fails(function()
    local _ <close> = asyncio.timeout_at(asyncio.time() - 5)
    log("body")
    await sleep(50)
  end))
end)

case("Y26: a task outlives any number of limits", "3 0", async function()
  local count = 0
  for _ = 1, 3 do
    local ok = pcall(function()
      local _ <close> = asyncio.timeout(U)
      await asyncio.Future()
    end)
    if not ok then count = count + 1 end
  end
  log(count, cancelling())
end)

case("Y28: a lock waited for in vain is not held",
    "scope !! TimeoutError expired / false / true", async function()
  local lock = asyncio.Lock()
  await lock:acquire()
  scope(1, async function() await lock:acquire() end)
  lock:release()
  log(lock:locked())
  await lock:acquire()
  log(lock:locked())
  lock:release()
end)

case("Y30: the scope has expired before its body is told",
    "true / scope !! TimeoutError expired", async function()
  scope(1, async function(t)
    local _, err = asyncio.catch(function() await sleep(50) end)
    log(t:expired())
    error(err, 0)
  end)
end)

case("Y32: pcall inside the scope does not stop the limit",
    "scope !! TimeoutError expired", async function()
  scope(1, async function()
    pcall(function() await sleep(50) end)
    log("swallowed")
  end)
end)

case("Y34: a scope left by return, break and goto is left",
    "1 / 2 / 3", async function()
  local function returns()
    local _ <close> = asyncio.timeout(U)
    return 1
  end
  log(returns())
  while true do
    local _ <close> = asyncio.timeout(U)
    break
  end
  do
    local _ <close> = asyncio.timeout(U)
    goto out
  end
  ::out::
  log(2)
  await sleep(3)
  log(3)
end)

case("Y36: a limit that is no number is refused", "misuse / misuse",
    async function()
  log(fails(asyncio.timeout, "soon"))
  log(fails(asyncio.timeout, {}))
end)

case("Y37: a scope without a limit gets one", "nil / true / TimeoutError true",
    async function()
  local ok, err = pcall(function()
    local scope <close> = asyncio.timeout(nil)
    log(scope:when())
    local when = asyncio.time() + U
    scope:reschedule(when)
    log(scope:when() == when)
    await sleep(10)
  end)
  assert(not ok)
  log(kind(err), asyncio.iserror(err.cause, asyncio.CancelledError))
end)
