-- rings: tasks that wait for each other for ever can still be cancelled.

require "tests.cases"

local function ring(n, wait)
  local tasks = {}
  for i = 1, n do
    tasks[i] = spawn(async function()
      await turn()
      await wait(tasks[i % n + 1])
    end, {name = "ring " .. i})
  end
  return tasks
end

local function states(tasks)
  await asyncio.wait(tasks)
  for _, t in ipairs(tasks) do log(state(t)) end
end

case("K01: two tasks that await each other end when one is cancelled",
    "cancelled / cancelled / 1", async function()
  local tasks = ring(2, async function(t) return await t end)
  await sleep(1)
  tasks[1]:cancel()
  states(tasks)
  log(tasks[1]:cancelling())
end)

case("K02: a ring of three through gather", "cancelled / cancelled / cancelled",
    async function()
  local tasks = ring(3, async function(t) await asyncio.gather(t) end)
  await sleep(1)
  tasks[2]:cancel()
  states(tasks)
end)

case("K03: a ring is broken by the limit of one of its tasks",
    "failed TimeoutError / failed TimeoutError", async function()
  local first
  local tasks = ring(2, async function(t)
    local limit = not first and 2 * U or nil
    first = true
    local _ <close> = asyncio.timeout(limit)
    await t
  end)
  states(tasks)
end)

case("K04: a task that enters a ring while it is being cancelled",
    "cancelled / cancelled", async function()
  local a, b
  a = spawn(async function()
    await turn()
    asyncio.current_task():cancel()
    await b
  end)
  b = spawn(async function() await a end)
  states {a, b}
end)

-- A collector that never rests looks at the whole chain for each link.
local long = os.getenv "NEAP_TEST_GC" and 1000 or 20000

case("K05: a long chain is cancelled from its end", "true / " .. long,
    async function()
  local f, count = asyncio.Future(), 0
  local last, tasks = f, {}
  for i = 1, long do
    local before = last
    last = spawn(async function() await asyncio.gather(before) end)
    tasks[i] = last
  end
  await turn()
  await turn()
  last:cancel()
  await asyncio.wait {last}
  log(f:cancelled())
  for _, t in ipairs(tasks) do if t:cancelled() then count = count + 1 end end
  log(count)
end)
