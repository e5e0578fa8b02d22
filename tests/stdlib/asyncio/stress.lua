-- Many tasks, cancelled at any moment: nothing is lost and nothing stays.

require "tests.cases"

-- The collector that never rests makes everything slow.
local stressed = (os.getenv "NEAP_TEST_GC" or "") ~= ""

-- A generator of numbers of the tests' own, alike on every run.
local function random_from(seed)
  return function(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % n + 1
  end
end

-- Runs `count` tasks of `body(random)`, cancels some at random turns (and in
-- the end all, if they may be left waiting), waits for all and lets each tell
-- whether it ended as a task may.
local function storm(count, seed, body, waiting)
  local random = random_from(seed)
  local tasks = {}
  for i = 1, count do
    tasks[i] = spawn(async function() return body(random, i) end)
    if random(3) == 1 then await turn() end
    if random(3) == 1 then tasks[random(#tasks)]:cancel() end
  end
  for _ = 1, 20 do
    tasks[random(#tasks)]:cancel()
    await turn()
  end
  if waiting then
    for _, t in ipairs(tasks) do t:cancel() end
  end
  await asyncio.wait(tasks)
  for _, t in ipairs(tasks) do
    if not t:cancelled() and t:exception() then error(t:exception(), 0) end
  end
end

test("a lock is never held twice and is free at the end", async function()
  for seed = 1, 20 do
    local lock, inside = asyncio.Lock(), 0
    storm(60, seed, function(random)
      for _ = 1, random(3) do
        local _ <close> = await lock:acquire()
        inside = inside + 1
        assert(inside == 1)
        local _ <close> = asyncio.defer(function() inside = inside - 1 end)
        for _ = 1, random(3) - 1 do await turn() end
      end
    end)
    assert(not lock:locked() and inside == 0)
  end
end)

test("a semaphore keeps all its permits", async function()
  for seed = 1, 20 do
    local sem, inside = asyncio.BoundedSemaphore(3), 0
    storm(60, seed, function(random)
      for _ = 1, random(3) do
        local _ <close> = await sem:acquire()
        inside = inside + 1
        assert(inside <= 3)
        local _ <close> = asyncio.defer(function() inside = inside - 1 end)
        for _ = 1, random(3) - 1 do await turn() end
      end
    end)
    assert(inside == 0)
    for _ = 1, 3 do await sem:acquire() end
    assert(sem:locked())
    for _ = 1, 3 do sem:release() end
    expect_error("", sem.release, sem)
  end
end)

test("a queue gives each item once", async function()
  for seed = 1, 20 do
    local q, put, got = asyncio.Queue(3), {}, {}
    storm(80, seed, function(random, i)
      if random(2) == 1 then
        await q:put(i)
        put[#put + 1] = i
      else
        local item = await q:get()
        got[#got + 1] = item
      end
    end, true)
    while not q:empty() do got[#got + 1] = q:get_nowait() end
    table.sort(put)
    table.sort(got)
    equal(got, put)
  end
end)

test("a condition loses no lock", async function()
  for seed = 1, 20 do
    local cond, stop = asyncio.Condition(), false
    local waker = spawn(async function()
      while not stop do
        local _ <close> = await cond:acquire()
        cond:notify(1)
        await turn()
      end
    end)
    storm(40, seed, function()
      local _ <close> = await cond:acquire()
      await cond:wait()
      assert(cond:locked())
    end, true)
    stop = true
    await waker
    assert(not cond:locked())
  end
end)

test("groups, limits and gathers leave no task", async function()
  local before = #asyncio.all_tasks()
  for seed = 1, 10 do
    storm(30, seed, function(random)
      local kind = random(4)
      local function some()
        local list = {}
        for i = 1, random(4) do list[i] = asyncio.sleep(random(3) / 2000) end
        return list
      end
      if kind == 1 then
        local tg <close> = asyncio.TaskGroup()
        for _, x in ipairs(some()) do tg:create_task(x) end
      elseif kind == 2 then
        await asyncio.gather(some(), {return_exceptions = true})
      elseif kind == 3 then
        pcall(function()
          local _ <close> = asyncio.timeout(random(3) / 2000)
          await asyncio.gather(some(), {})
        end)
      else
        pcall(function()
          await asyncio.wait_for(asyncio.sleep(random(4) / 2000),
            random(4) / 2000)
        end)
      end
    end)
  end
  equal(#asyncio.all_tasks(), before)
end)

test("finished, failed and cancelled tasks are given back", async function()
  local async function one(i)
    if i % 3 == 0 then error("failed", 0) end
    await turn()
    if i % 3 == 1 then await sleep(50) end
  end
  local function round()
    local tasks = {}
    for i = 1, 500 do tasks[i] = spawn(one(i)) end
    await turn()
    await turn()
    for i = 1, 500 do tasks[i]:cancel() end
    await asyncio.gather(tasks, {return_exceptions = true})
  end
  local function memory()
    collectgarbage()
    collectgarbage()
    return collectgarbage "count"
  end
  for _ = 1, 3 do round() end
  local before = memory()
  for _ = 1, stressed and 3 or 20 do round() end
  local grown = memory() - before
  assert(grown < 200, ("memory grew by %.0f KB"):format(grown))
end)

test("a task may be abandoned in the middle of a generator", async function()
  for _ = 1, 200 do
    local t = spawn(async function()
      local values = coroutine.wrap(function()
        while true do
          await turn()
          coroutine.yield(1)
        end
      end)
      for _ in values do await turn() end
    end)
    await turn()
    await turn()
    t:cancel()
    await asyncio.wait {t}
    assert(t:cancelled())
  end
  collectgarbage()
end)

test("very many tasks are gathered", async function()
  local count = stressed and 5000 or 100000
  local list = {}
  local async function id(i) return i end
  for i = 1, count do list[i] = id(i) end
  local got = await asyncio.gather(list, {})
  equal(got.n, count)
  equal(got[count], count)
end)
