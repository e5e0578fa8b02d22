-- shield: what is awaited outlives the one who awaits it.

require "tests.cases"

local shield = asyncio.shield

case("S01: cancelling the awaiter leaves the inner task alone",
    "i+ / k !! CancelledError / pending / i- / 1", async function()
  local inner = spawn(worker("i", 3, {value = 1}))
  local k = spawn(async function() await shield(inner) end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
  log(state(inner))
  log(await inner)
end)

case("S02: cancelling the inner task is seen by the awaiter",
    "i+ / i~ / k !! CancelledError", async function()
  local inner = spawn(worker("i", 50))
  local k = spawn(tell("k", shield(inner)))
  await sleep(1)
  inner:cancel()
  await k
end)

case("S03: an error of the inner task is raised",
    "i+ / i- / k !! Boom: i", async function()
  await tell("k", shield(worker("i", 1, {fail = "i"})))
end)

case("S04: a coroutine object is started by shield", "i+ / i- / k -> 4",
    async function()
  await tell("k", shield(worker("i", 1, {value = 4})))
end)

case("S05: the inner task outlives a wait_for",
    "i+ / k !! TimeoutError / i- / 1", async function()
  local inner = spawn(worker("i", 3, {value = 1}))
  await tell("k", asyncio.wait_for(shield(inner), U))
  log(await inner)
end)

case("S06: an inner failure after the cancel is reported, not lost",
    "i+ / k !! CancelledError / i- / handler Boom: i", async function()
  asyncio.get_running_loop():set_exception_handler(function(_, context)
    log("handler", context.exception)
  end)
  local k = spawn(async function()
    await shield(worker("i", 3, {fail = "i"}))
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
  k = nil
  await sleep(4)
  for _ = 1, 3 do
    collectgarbage()
    await turn()
  end
end)

case("S07: shield of a finished task gives its value", "2",
    async function()
  local inner = spawn(async function() return 2 end)
  await inner
  log(await shield(inner))
end)

case("S08: the shield itself can be cancelled", "i+ / true true / i-",
    async function()
  local inner = spawn(worker("i", 2))
  local outer = shield(inner)
  await turn()
  log(outer:cancel(), outer:cancelled())
  await inner
end)

case("S10: a gather that is cancelled does not reach through a shield",
    "i+ / b+ / b~ / k !! CancelledError / pending / i- / i",
    async function()
  local inner = spawn(worker("i", 3))
  local k = spawn(async function()
    await asyncio.gather(shield(inner), worker("b", 50))
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
  log(state(inner))
  log(await inner)
end)

case("S12: the inner task can be awaited after the cancel was caught",
    "i+ / again / i- / k -> i", async function()
  local inner = spawn(worker("i", 3))
  local k = spawn(async function()
    if asyncio.catch(function() await shield(inner) end) then return end
    log("again")
    return await inner
  end)
  await sleep(1)
  k:cancel()
  await tell("k", k)
end)

case("S14: all values come through", "nil 2 nil 3", async function()
  local got = table.pack(await shield(
    (async function() return nil, 2, nil end)()))
  log(got[1], got[2], got[3], got.n)
end)
