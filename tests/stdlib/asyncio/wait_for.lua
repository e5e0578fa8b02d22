-- wait_for: one awaitable and a limit.

require "tests.cases"

local wait_for = asyncio.wait_for

-- A task that waits for `x`, at most `units`.
local function waiting(x, units)
  return spawn(async function() return await wait_for(x, units * U) end)
end

case("X01: the value comes in time", "i+ / i- / k -> 1", async function()
  await tell("k", wait_for(worker("i", 1, {value = 1}), 50 * U))
end)

case("X02: the limit cancels the inner task",
    "i+ / i~ / k !! TimeoutError / cancelled 1", async function()
  local inner = spawn(worker("i", 50))
  await tell("k", wait_for(inner, U))
  log(state(inner), inner:cancelling())
end)

case("X03: there may be no limit", "i+ / i- / k -> 1", async function()
  await tell("k", wait_for(worker("i", 1, {value = 1}), nil))
end)

case("X04: an error comes in time", "i+ / i- / k !! Boom: i",
    async function()
  await tell("k", wait_for(worker("i", 1, {fail = "i"}), 50 * U))
end)

case("X05: with no time at all a coroutine never starts",
    "k !! TimeoutError / k !! TimeoutError", async function()
  await tell("k", wait_for(worker("i", 1), 0))
  await tell("k", wait_for(worker("i", 1), -1))
end)

case("X06: the inner clean-up is awaited", "i+ / i~ / i. / k !! TimeoutError",
    async function()
  await tell("k", wait_for(worker("i", 50, {clean = 2}), U))
end)

case("X07: an error of the inner clean-up comes instead of the time-out",
    "i+ / i~ / k !! Boom: i", async function()
  await tell("k", wait_for(worker("i", 50, {raise = "i"}), U))
end)

case("X08: a value kept in spite of the limit is given",
    "i+ / i~ / k -> 5", async function()
  await tell("k", wait_for(worker("i", 50, {keep = 5}), U))
end)

case("X09: cancelling the waiter cancels the inner one and waits for it",
    "i+ / i~ / i. / k !! CancelledError", async function()
  local k = waiting(worker("i", 50, {clean = 2}), 50)
  await sleep(1)
  k:cancel()
  await tell("k", k)
end)

case("X10: a future is cancelled by the limit", "k !! TimeoutError / true",
    async function()
  local f = asyncio.Future()
  await tell("k", wait_for(f, U))
  log(f:cancelled())
end)

case("X11: nested limits: the nearer one counts",
    "i+ / i~ / k !! TimeoutError / j+ / j~ / k !! TimeoutError",
    async function()
  await tell("k", wait_for(wait_for(worker("i", 50), U), 9 * U))
  await tell("k", wait_for(wait_for(worker("j", 50), 9 * U), U))
end)

case("X12: what is done is given even with no time", "k -> 2 / k -> 2",
    async function()
  local f = asyncio.Future()
  f:set_result(2)
  await tell("k", wait_for(f, 0))
  await tell("k", wait_for(f, -1))
end)

case("X13: a hundred limits at once leave no task", "100 0",
    async function()
  local before = #asyncio.all_tasks()
  local list = {}
  for i = 1, 100 do list[i] = wait_for(asyncio.sleep(50 * U), U) end
  local count = 0
  local got = await asyncio.gather(list, {return_exceptions = true})
  for i = 1, got.n do
    if asyncio.iserror(got[i], asyncio.TimeoutError) then count = count + 1 end
  end
  log(count, #asyncio.all_tasks() - before)
end)

case("X14: an inner task cancelled by another is a cancellation",
    "i+ / i~ / k !! CancelledError", async function()
  local inner = spawn(worker("i", 50))
  local k = spawn(tell("k", wait_for(inner, 50 * U)))
  await sleep(1)
  inner:cancel()
  await k
end)

case("X16: with no time a running task is cancelled",
    "i+ / i~ / k !! TimeoutError / cancelled", async function()
  local inner = spawn(worker("i", 50))
  await sleep(1)
  await tell("k", wait_for(inner, 0))
  log(state(inner))
end)

case("X18: what a method returns can be given to it",
    "k -> 1 / k !! TimeoutError / 0", async function()
  local q = asyncio.Queue()
  later(1, function() q:put_nowait(1) end)
  await tell("k", wait_for(q:get(), 50 * U))
  await tell("k", wait_for(q:get(), U))
  log(q:qsize())
end)

case("X20: an inner one that keeps a value undoes the waiter's cancel",
    "i+ / i~ / k -> 7 / 1", async function()
  local k = waiting(worker("i", 50, {keep = 7}), 50)
  await sleep(1)
  k:cancel()
  await tell("k", k)
  log(k:cancelling())
end)

case("X22: the limit leaves no request on the waiter",
    "i+ / i~ / w !! TimeoutError / 0", async function()
  await spawn(async function()
    await tell("w", wait_for(worker("i", 50), U))
    log(asyncio.current_task():cancelling())
  end)
end)

case("X24: all values come through", "nil 2 nil 3", async function()
  local got = table.pack(await wait_for(
    (async function() return nil, 2, nil end)(), 50 * U))
  log(got[1], got[2], got[3], got.n)
end)

case("X26: pcall catches the time-out, for it is no cancellation",
    "false TimeoutError", async function()
  log(pcall(function() await wait_for(sleep(50), U) end))
end)

case("X28: no time at all for a gather is a time-out as well",
    "a !! TimeoutError / b !! TimeoutError / c -> 1", async function()
  await tell("a", wait_for(asyncio.gather(worker("i", 1)), 0))
  await tell("b", wait_for(asyncio.gather(asyncio.Future()), -1))
  local done = spawn(async function() return 1 end)
  await turn()
  await tell("c", wait_for(done, 0))
end)
