-- as_completed: finished tasks in the order in which they end.

require "tests.cases"

local function both(a, b)
  return {spawn(a), spawn(b)}
end

case("A01: values come in the order of the ends",
    "a+ / b+ / c+ / b- / got b / c- / got c / a- / got a",
    async function()
  local list = {spawn(worker("a", 5)), spawn(worker("b", 1)),
    spawn(worker("c", 3))}
  for task in asyncio.as_completed(list) do log("got", await task) end
end)

case("A02: a failure is raised by its own task only",
    "a+ / b+ / c+ / b- / got !! Boom: b / a- / got -> a / c- / got -> c",
    async function()
  local list = {spawn(worker("a", 3)), spawn(worker("b", 1, {fail = "b"})),
    spawn(worker("c", 5))}
  for task in asyncio.as_completed(list) do await tell("got", task) end
end)

case("A03: the time-out error comes instead of a task, which goes on",
    "a+ / b+ / a- / got -> a / got !! TimeoutError / pending / b-",
    async function()
  local list = both(worker("a", 1), worker("b", 9))
  local ok, err = asyncio.catch(function()
    for task in asyncio.as_completed(list, {timeout = 3 * U}) do
      await tell("got", task)
    end
  end)
  if not ok then log("got", "!!", err) end
  log(state(list[2]))
  await list[2]
end)

case("A04: over nothing the loop ends at once", "end", async function()
  for _ in asyncio.as_completed {} do log("never") end
  log("end")
end)

case("A05: leaving the loop leaves the others running",
    "a+ / b+ / a- / a / b- / done nil", async function()
  local done = asyncio.Future()
  local list = both(worker("a", 1), async function()
    await worker("b", 3)
    done:set_result()
  end)
  for task in asyncio.as_completed(list) do
    log(await task)
    break
  end
  await done
  await list[2]
  log(state(list[2]))
end)

case("A06: tasks that had ended are given at once, as themselves",
    "a+ / b+ / a- / b- / true true", async function()
  local list = both(worker("a", 0), worker("b", 0))
  await asyncio.wait(list)
  local seen = {}
  for task in asyncio.as_completed(list) do seen[task] = true end
  log(seen[list[1]], seen[list[2]])
end)

case("A08: cancelling the loop's task cancels nobody else",
    "a+ / b+ / a- / got a / k !! CancelledError / done a pending / b-",
    async function()
  local list = both(worker("a", 1), worker("b", 5))
  local k = spawn(async function()
    for task in asyncio.as_completed(list) do log("got", await task) end
  end)
  await sleep(3)
  k:cancel()
  await tell("k", k)
  log(state(list[1]), state(list[2]))
  await list[2]
end)

case("A10: a slow loop still sees the order of the ends",
    "a+ / b+ / c+ / b- / got b / c- / a- / got c / got a",
    async function()
  local list = {spawn(worker("a", 3)), spawn(worker("b", 1)),
    spawn(worker("c", 2))}
  for task in asyncio.as_completed(list) do
    log("got", await task)
    await sleep(5)
  end
end)

case("A12: coroutine objects become tasks", "a+ / b+ / b- / b / a- / a",
    async function()
  for task in asyncio.as_completed {worker("a", 3), worker("b", 1)} do
    log(await task)
  end
end)

case("A14: a time-out that is not reached changes nothing",
    "a+ / b+ / b- / b / a- / a", async function()
  local list = {worker("a", 3), worker("b", 1)}
  for task in asyncio.as_completed(list, {timeout = 50 * U}) do
    log(await task)
  end
end)

case("A16: what the loop gives is done", "true true", async function()
  local seen = {}
  for task in asyncio.as_completed {sleep(1), sleep(2)} do
    seen[#seen + 1] = task:done()
  end
  log(table.unpack(seen))
end)

case("A18: one that ends in the turn of the time-out comes too late",
    "TimeoutError done 1", async function()
  local task = spawn(async function() return 1 end)
  local ok, e = pcall(function()
    for _ in asyncio.as_completed({task}, {timeout = 0}) do
      log("not reached")
    end
  end)
  log(kind(e), state(task))
end)
