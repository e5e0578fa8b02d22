-- semaphores and barriers: strict turns, and no permit is lost.

require "tests.cases"

-- A task that acquires and keeps, and logs how that went.
local function taker(name, sem)
  return spawn(async function()
    local ok, err = asyncio.catch(function() await sem:acquire() end)
    log(name, ok and "has it" or "!! " .. kind(err))
  end)
end

local function join(list)
  return table.concat(list)
end

case("M01: never more inside than permits, and in order", "2 abcde",
    async function()
  local sem, inside, most, order = asyncio.Semaphore(2), 0, 0, {}
  local tasks = {}
  for i, name in ipairs {"a", "b", "c", "d", "e"} do
    tasks[i] = spawn(async function()
      local _ <close> = await sem:acquire()
      order[#order + 1] = name
      inside = inside + 1
      most = math.max(most, inside)
      await sleep(2)
      inside = inside - 1
    end)
  end
  await asyncio.wait(tasks)
  log(most, join(order))
end)

case("M02: locked tells whether an acquire would wait",
    "false / false / true / false", async function()
  local sem = asyncio.Semaphore(2)
  log(sem:locked())
  await sem:acquire()
  log(sem:locked())
  await sem:acquire()
  log(sem:locked())
  sem:release()
  log(sem:locked())
end)

case("M03: a permit for a waiter that is cancelled goes to the next",
    "cancelled done nil true", async function()
  local sem = asyncio.Semaphore(0)
  local a = spawn(async function() await sem:acquire() end)
  local b = spawn(async function() await sem:acquire() end)
  await turn()
  sem:release()
  a:cancel()
  await asyncio.wait {a, b}
  log(state(a), state(b), sem:locked())
end)

case("M04: a waiter that was cancelled is passed over",
    "a !! CancelledError / b has it / true", async function()
  local sem = asyncio.Semaphore(0)
  local a, b = taker("a", sem), taker("b", sem)
  await turn()
  a:cancel()
  await asyncio.wait {a}
  sem:release()
  await b
  log(sem:locked())
end)

case("M05: nobody overtakes a waiter", "a1 b1 c1 a2 b2 c2",
    async function()
  local sem, order, tasks = asyncio.Semaphore(1), {}, {}
  for i, name in ipairs {"a", "b", "c"} do
    tasks[i] = spawn(async function()
      for round = 1, 2 do
        await sem:acquire()
        order[#order + 1] = name .. round
        await sleep(1)
        sem:release()
      end
    end)
  end
  await asyncio.wait(tasks)
  log(table.concat(order, " "))
end)

case("M06: two releases wake two, in order",
    "released / a has it / b has it / third / c has it", async function()
  local sem = asyncio.Semaphore(0)
  local tasks = {taker("a", sem), taker("b", sem), taker("c", sem)}
  await turn()
  sem:release()
  sem:release()
  log("released")
  await sleep(1)
  log("third")
  sem:release()
  await asyncio.wait(tasks)
end)

case("M07: only a bounded semaphore refuses a release too many",
    "misuse / true", async function()
  local bounded, plain = asyncio.BoundedSemaphore(1), asyncio.Semaphore(1)
  log(fails(bounded.release, bounded))
  plain:release()
  await plain:acquire()
  await plain:acquire()
  log(plain:locked())
end)

case("M08: a semaphore cannot begin below nought", "misuse",
    async function()
  log(fails(asyncio.Semaphore, -1))
end)

case("M10: a release with somebody waiting leaves it locked",
    "true / w has it / again / k has it", async function()
  local sem = asyncio.Semaphore(1)
  await sem:acquire()
  local w = taker("w", sem)
  await turn()
  sem:release()
  log(sem:locked())
  local k = taker("k", sem)
  await w
  log("again")
  sem:release()
  await k
end)

case("M12: an error in the scope gives the permit back", "Boom: x false",
    async function()
  local sem = asyncio.Semaphore(1)
  log(fails(function()
    local _ <close> = await sem:acquire()
    error(Boom.new "x")
  end), sem:locked())
end)

case("M14: waiting in vain takes no permit", "TimeoutError / false / true",
    async function()
  local sem = asyncio.Semaphore(1)
  await sem:acquire()
  log(fails(function() await asyncio.wait_for(sem:acquire(), U) end))
  sem:release()
  log(sem:locked())
  await asyncio.wait_for(sem:acquire(), U)
  log(sem:locked())
end)

case("M16: without a number there is one permit", "false true",
    async function()
  local sem = asyncio.Semaphore()
  local before = sem:locked()
  await sem:acquire()
  log(before, sem:locked())
end)

-- Tasks that wait at the barrier, each giving its number.
local function arrive(barrier, count)
  local tasks = {}
  for i = 1, count do
    tasks[i] = spawn(async function() return await barrier:wait() end)
  end
  return tasks
end

local function numbers(tasks)
  await asyncio.wait(tasks)
  local list = {}
  for i, t in ipairs(tasks) do list[i] = t:result() end
  table.sort(list)
  return list
end

case("B01: each gets a number of its own, time after time",
    "{0, 0, 1, 1, 2, 2} 0 false", async function()
  local barrier, got, tasks = asyncio.Barrier(3), {}, {}
  for i = 1, 3 do
    tasks[i] = spawn(async function()
      for _ = 1, 2 do
        local number = await barrier:wait()
        got[#got + 1] = number
      end
    end)
  end
  await asyncio.wait(tasks)
  table.sort(got)
  log(got, barrier:n_waiting(), barrier:broken())
end)

case("B02: the barrier tells who waits", "1 2 false / a -> 0 / 0",
    async function()
  local barrier = asyncio.Barrier(2)
  local t = spawn(tell("a", barrier:wait()))
  await turn()
  log(barrier:n_waiting(), barrier:parties(), barrier:broken())
  await barrier:wait()
  await t
  log(barrier:n_waiting())
end)

case("B03: one who is cancelled no longer counts, and breaks nothing",
    "1 / 0 false / {0, 1, 2}", async function()
  local barrier = asyncio.Barrier(3)
  local a = arrive(barrier, 1)[1]
  await turn()
  log(barrier:n_waiting())
  a:cancel()
  await asyncio.wait {a}
  log(barrier:n_waiting(), barrier:broken())
  log(numbers(arrive(barrier, 3)))
end)

case("B04: abort breaks the barrier until reset",
    "a !! BrokenBarrierError / b !! BrokenBarrierError / true / "
    .. "c !! BrokenBarrierError / false", async function()
  local barrier = asyncio.Barrier(3)
  local a = spawn(tell("a", barrier:wait()))
  local b = spawn(tell("b", barrier:wait()))
  await turn()
  await barrier:abort()
  await asyncio.wait {a, b}
  log(barrier:broken())
  await tell("c", barrier:wait())
  await barrier:reset()
  log(barrier:broken())
end)

case("B05: reset tells those who wait, and the barrier is usable",
    "a !! BrokenBarrierError / b !! BrokenBarrierError / false {0, 1, 2}",
    async function()
  local barrier = asyncio.Barrier(3)
  local a = spawn(tell("a", barrier:wait()))
  local b = spawn(tell("b", barrier:wait()))
  await turn()
  await barrier:reset()
  await asyncio.wait {a, b}
  log(barrier:broken(), numbers(arrive(barrier, 3)))
end)

case("B06: a barrier of one lets everybody pass", "0 0", async function()
  local barrier = asyncio.Barrier(1)
  log(await barrier:wait(), await barrier:wait())
end)

case("B07: who comes too many waits for the next round",
    "2 1 / true", async function()
  local barrier = asyncio.Barrier(2)
  local tasks = arrive(barrier, 3)
  await sleep(1)
  local done = 0
  for _, t in ipairs(tasks) do if t:done() then done = done + 1 end end
  log(done, barrier:n_waiting())
  await barrier:wait()
  await asyncio.wait(tasks)
  log(tasks[3]:done())
end)

case("B08: a barrier wants at least one", "misuse", async function()
  log(fails(asyncio.Barrier, 0))
end)

case("B10: one who ran out of time no longer counts",
    "TimeoutError / 0 false / {0, 1}", async function()
  local barrier = asyncio.Barrier(2)
  log(fails(function() await asyncio.wait_for(barrier:wait(), U) end))
  log(barrier:n_waiting(), barrier:broken())
  log(numbers(arrive(barrier, 2)))
end)

case("B40: who is cancelled at a barrier has the next one look at it",
    "a !! CancelledError / b !! BrokenBarrierError / next / true 0",
    async function()
  local b = asyncio.Barrier(3)
  local one, two = spawn(tell("a", b:wait())), spawn(tell("b", b:wait()))
  await turn()
  one:cancel()
  await turn()
  asyncio.get_running_loop():call_soon(log, "next")
  await b:abort()
  await asyncio.wait {one, two}
  log(b:broken(), b:n_waiting())
end)

case("M40: a whole number may be a float, as in Lua", "1 false / 2 / 2",
    async function()
  local semaphore = asyncio.Semaphore(4 / 2)
  await semaphore:acquire()
  log(semaphore.value, semaphore:locked())
  log(asyncio.Barrier(2.0):parties())
  log(asyncio.Queue(2).maxsize)
end)
