-- wait: raises no child's error and cancels nobody.

require "tests.cases"

local function names(tasks)
  local list = {}
  for i, task in ipairs(tasks) do list[i] = task:get_name() end
  table.sort(list)
  return #list > 0 and table.concat(list, ",") or "none"
end

-- Tasks from {name, units, opts}, each named.
local function tasks_of(specs)
  local tasks = {}
  for i, spec in ipairs(specs) do
    tasks[i] = spawn(worker(table.unpack(spec)), {name = spec[1]})
  end
  return tasks
end

local async function wait(tasks, opts)
  local done, pending = await asyncio.wait(tasks, opts)
  log(names(done), names(pending))
  return done, pending
end

local FIRST = {return_when = "FIRST_COMPLETED"}
local FAILED = {return_when = "FIRST_EXCEPTION"}

case("W01: waiting for all gives all",
    "a+ / b+ / c+ / a- / b- / c- / a,b,c none", async function()
  await wait(tasks_of {{"a", 1}, {"b", 3}, {"c", 5}})
end)

case("W02: waiting for the first leaves the others running",
    "a+ / b+ / c+ / a- / a b,c / b- / c-", async function()
  local tasks = tasks_of {{"a", 1}, {"b", 3}, {"c", 5}}
  await wait(tasks, FIRST)
  await asyncio.wait(tasks)
end)

case("W03: waiting for the first exception",
    "a+ / b+ / c+ / a- / b- / a,b c / Boom: b / c-", async function()
  local tasks = tasks_of {{"a", 1}, {"b", 3, {fail = "b"}}, {"c", 5}}
  await wait(tasks, FAILED)
  log(tasks[2]:exception())
  await tasks[3]
end)

case("W04: a time-out divides done and pending and raises nothing",
    "a+ / b+ / c+ / a- / a b,c / done a / pending / b- / c-",
    async function()
  local tasks = tasks_of {{"a", 1}, {"b", 5}, {"c", 7}}
  await wait(tasks, {timeout = 3 * U})
  log(state(tasks[1]))
  log(state(tasks[2]))
  await asyncio.wait(tasks)
end)

case("W05: a cancellation is no exception here",
    "a+ / b+ / a~ / b- / a,b none", async function()
  local tasks = tasks_of {{"a", 50}, {"b", 3}}
  later(1, function() tasks[1]:cancel() end)
  await wait(tasks, FAILED)
end)

case("W06: a failure is not raised", "a+ / b+ / a- / b- / a,b none / Boom: a",
    async function()
  local tasks = tasks_of {{"a", 1, {fail = "a"}}, {"b", 2}}
  await wait(tasks)
  log(tasks[1]:exception())
end)

case("W07: a time-out of nought gives one look",
    "a+ / b+ / c+ / none a,b,c / a- / b- / c-", async function()
  local tasks = tasks_of {{"a", 1}, {"b", 3}, {"c", 5}}
  await wait(tasks, {timeout = 0})
  await asyncio.wait(tasks)
end)

case("W08: cancelling the one who waits cancels nobody else",
    "a+ / b+ / k !! CancelledError / pending pending / a- / b-",
    async function()
  local tasks = tasks_of {{"a", 3}, {"b", 4}}
  local k = spawn(wait(tasks))
  await sleep(1)
  k:cancel()
  await tell("k", k)
  log(state(tasks[1]), state(tasks[2]))
  await asyncio.wait(tasks)
end)

case("W09: waiting for nothing is an error", "misuse", async function()
  log(fails(function() await asyncio.wait {} end))
end)

case("W10: where none fails, the first exception is the end of all",
    "a+ / b+ / a- / b- / a,b none", async function()
  await wait(tasks_of {{"a", 1}, {"b", 2}}, FAILED)
end)

case("W11: one that is done beforehand is the first",
    "a+ / b+ / c+ / a- / a b,c / b- / c-", async function()
  local tasks = tasks_of {{"a", 1}, {"b", 3}, {"c", 5}}
  await tasks[1]
  await wait(tasks, FIRST)
  await asyncio.wait(tasks)
end)

case("W12: waiting for those that have ended gives them at once",
    "a+ / b+ / a- / b- / a,b none", async function()
  local tasks = tasks_of {{"a", 1}, {"b", 2}}
  await asyncio.wait(tasks)
  await wait(tasks)
end)

case("W14: a task given twice comes once", "a+ / a- / a none / 1",
    async function()
  local task = tasks_of({{"a", 1}})[1]
  local done = await wait {task, task}
  log(#done)
end)

case("W16: one that had failed beforehand is the first exception",
    "a+ / b+ / a- / a b / b-", async function()
  local tasks = tasks_of {{"a", 0, {fail = "a"}}, {"b", 3}}
  await sleep(1)
  await wait(tasks, FAILED)
  await tasks[2]
  assert(tasks[1]:exception())
end)

case("W18: a return_when that does not exist is refused", "true",
    async function()
  local f = asyncio.Future()
  local _, err = asyncio.catch(function()
    await asyncio.wait({f}, {return_when = "SOMETIME"})
  end)
  log(tostring(err):find("return_when", 1, true) ~= nil)
end)

case("W20: futures can be waited for", "true true 1 1", async function()
  local f, g = asyncio.Future(), asyncio.Future()
  later(1, function() g:set_result(1) end)
  local done, pending = await asyncio.wait({f, g}, FIRST)
  log(done[1] == g, pending[1] == f, #done, #pending)
end)

case("W22: all that end in the first one's turn are done",
    "a+ / x,y a / a-", async function()
  local f = asyncio.Future()
  local async function ready() await f end
  local a = tasks_of({{"a", 5}})[1]
  local x, y = spawn(ready, {name = "x"}), spawn(ready, {name = "y"})
  await turn()
  f:set_result(1)
  await wait({x, y, a}, FIRST)
  await a
end)

case("W24: the lists keep the order given",
    "c+ / b+ / a+ / b- / a- / c- / c b a", async function()
  local tasks = tasks_of {{"c", 3}, {"b", 1}, {"a", 2}}
  local done = await asyncio.wait(tasks)
  log(done[1]:get_name(), done[2]:get_name(), done[3]:get_name())
end)

test("a future that is waited for again and again keeps nothing of it",
    async function()
  local f = asyncio.Future()
  local function wait_often(n)
    for _ = 1, n do await asyncio.wait({f}, {timeout = 0}) end
    collectgarbage()
    collectgarbage()
    return collectgarbage "count"
  end
  local before = wait_often(100)
  local kib = wait_often(2000) - before
  assert(kib < 100, kib)
  f:set_result()
end)
