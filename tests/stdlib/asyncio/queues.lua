-- queues: what is put is got once, by those who wait in turn.

require "tests.cases"

local Queue = asyncio.Queue

local function fill(q, ...)
  for _, item in ipairs {...} do q:put_nowait(item) end
  return q
end

local function drain(q)
  local items = {}
  while not q:empty() do items[#items + 1] = q:get_nowait() end
  return items
end

-- A task that puts `item` and logs that it has.
local function putter(q, item)
  return spawn(async function()
    await q:put(item)
    log("put", item)
  end)
end

case("Q01: the three orders", "{1, 3, 2} / {2, 3, 1} / {1, 2, 3}",
    async function()
  for _, class in ipairs {Queue, asyncio.LifoQueue, asyncio.PriorityQueue} do
    local q = class()
    for _, item in ipairs {1, 3, 2} do await q:put(item) end
    local items = {}
    for i = 1, 3 do items[i] = await q:get() end
    log(items)
  end
end)

case("Q02: get waits for a put", "put / g -> 1", async function()
  local q = Queue()
  local t = spawn(tell("g", q:get()))
  await turn()
  log("put")
  q:put_nowait(1)
  await t
end)

case("Q03: get_nowait of an empty queue and put_nowait on a full one",
    "QueueEmpty / QueueFull", async function()
  local q = Queue(1)
  log(fails(q.get_nowait, q))
  q:put_nowait(1)
  log(fails(q.put_nowait, q, 2))
end)

case("Q04: put waits while the queue is full",
    "put 0 / got 0 / put 1 / got 1 / put 2 / got 2", async function()
  local q = Queue(1)
  local t = spawn(async function()
    for i = 0, 2 do
      await q:put(i)
      log("put", i)
    end
  end)
  await sleep(1)
  for _ = 1, 3 do
    log("got", await q:get())
    await turn()
  end
  await t
end)

case("Q05: a cancelled getter leaves its turn to the next",
    "b got 1 / cancelled 0", async function()
  local q = Queue()
  local a = spawn(async function() log("a got", await q:get()) end)
  local b = spawn(async function() log("b got", await q:get()) end)
  await turn()
  a:cancel()
  q:put_nowait(1)
  await asyncio.wait {a, b}
  log(state(a), q:qsize())
end)

case("Q06: getters are served in the order they came",
    "a -> 1 / b -> 2 / c -> 3", async function()
  local q, tasks = Queue(), {}
  for i, name in ipairs {"a", "b", "c"} do
    tasks[i] = spawn(tell(name, q:get()))
  end
  await turn()
  fill(q, 1, 2, 3)
  await asyncio.wait(tasks)
end)

case("Q07: an item for a getter that is cancelled comes first again",
    "cancelled 1 1", async function()
  local q = Queue()
  local t = spawn(async function() log("got", await q:get()) end)
  await turn()
  fill(q, 1, 2)
  t:cancel()
  await asyncio.wait {t}
  log(state(t), await q:get(), q:qsize())
end)

case("Q08: putters are served in the order they came",
    "got 0 / put a / got a / put b / got b / put c / got c",
    async function()
  local q = fill(Queue(1), 0)
  local tasks = {putter(q, "a"), putter(q, "b"), putter(q, "c")}
  await turn()
  for _ = 1, 4 do
    log("got", await q:get())
    await turn()
    await turn()
  end
  await asyncio.wait(tasks)
end)

case("Q09: a cancelled putter leaves its place to the next",
    "a / put c / cancelled done nil 1", async function()
  local q = fill(Queue(1), "a")
  local b, c = putter(q, "b"), putter(q, "c")
  await turn()
  log(await q:get())
  b:cancel()
  await asyncio.wait {b, c}
  log(state(b), state(c), q:qsize())
end)

case("Q10: task_done cannot be called more often than get", "misuse",
    async function()
  local q = fill(Queue(), 1)
  q:get_nowait()
  q:task_done()
  log(fails(q.task_done, q))
end)

case("Q11: join of a queue that never had an item ends at once", "joined",
    async function()
  await Queue():join()
  log("joined")
end)

case("Q12: join waits until all are done, not until all are taken",
    "done 1 / done 2 / joined 0 true", async function()
  local q = fill(Queue(), 1, 2)
  local t = spawn(async function()
    while true do
      local item = await q:get()
      await sleep(1)
      log("done", item)
      q:task_done()
    end
  end)
  await q:join()
  log("joined", q:qsize(), q:empty())
  t:cancel()
  await asyncio.wait {t}
end)

case("Q13: join waits for an item that was taken and not marked done",
    "join !! TimeoutError", async function()
  local q = fill(Queue(), 1)
  q:get_nowait()
  await tell("join", asyncio.wait_for(q:join(), 2 * U))
end)

case("Q14: the size, and whether it is empty or full",
    "0 true false / 1 false false / 2 false true", async function()
  local q = Queue(2)
  local function show() log(q:qsize(), q:empty(), q:full()) end
  show()
  q:put_nowait(1)
  show()
  q:put_nowait(2)
  show()
end)

case("Q15: all who join wake when the last is done",
    "one left / a -> nil / b -> nil", async function()
  local q = fill(Queue(), 1)
  local a, b = spawn(tell("a", q:join())), spawn(tell("b", q:join()))
  await turn()
  q:put_nowait(2)
  q:get_nowait()
  q:task_done()
  await turn()
  log("one left")
  q:get_nowait()
  q:task_done()
  await asyncio.wait {a, b}
end)

case("Q16: after shutdown what is left is given, then the error",
    "put !! QueueShutDown / g -> 1 / g !! QueueShutDown / QueueShutDown / "
    .. "QueueShutDown", async function()
  local q = fill(Queue(), 1)
  q:shutdown()
  await tell("put", q:put(2))
  await tell("g", q:get())
  await tell("g", q:get())
  log(fails(q.get_nowait, q))
  log(fails(q.put_nowait, q, 1))
end)

case("Q17: nought and less mean no limit", "1000 false / 1000 false",
    async function()
  for _, size in ipairs {0, -1} do
    local q = Queue(size)
    for i = 1, 1000 do q:put_nowait(i) end
    log(q:qsize(), q:full())
  end
end)

case("Q18: shutdown wakes those who wait to get",
    "a !! QueueShutDown / b !! QueueShutDown", async function()
  local q = Queue()
  local a, b = spawn(tell("a", q:get())), spawn(tell("b", q:get()))
  await turn()
  q:shutdown()
  await asyncio.wait {a, b}
end)

case("Q20: an immediate shutdown drops what is left and wakes all",
    "j -> nil / p !! QueueShutDown / 0 / g !! QueueShutDown",
    async function()
  local q = fill(Queue(2), 1, 2)
  local p, j = spawn(tell("p", q:put(3))), spawn(tell("j", q:join()))
  await turn()
  q:shutdown(true)
  await asyncio.wait {p, j}
  log(q:qsize())
  await tell("g", q:get())
end)

case("Q21: a shutdown refuses waiting putters, and join goes on waiting",
    "p !! QueueShutDown / 1 / g -> 1 / j -> nil", async function()
  local q = fill(Queue(1), 1)
  local p, j = spawn(tell("p", q:put(3))), spawn(tell("j", q:join()))
  await turn()
  q:shutdown()
  await sleep(1)
  log(q:qsize())
  await tell("g", q:get())
  q:task_done()
  await asyncio.wait {p, j}
end)

case("Q22: a getter that ran out of time loses nothing",
    "w !! TimeoutError / 1 1", async function()
  local q = Queue()
  await tell("w", asyncio.wait_for(q:get(), U))
  q:put_nowait(1)
  log(q:qsize(), await q:get())
end)

case("Q24: a priority queue takes an order of one's own",
    "{y, z, a, b}", async function()
  local q = asyncio.PriorityQueue(0, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  for _, pair in ipairs {{2, "b"}, {1, "z"}, {2, "a"}, {0, "y"}} do
    q:put_nowait(pair)
  end
  local names = {}
  for i = 1, 4 do names[i] = q:get_nowait()[2] end
  log(names)
end)

case("Q26: an item may be taken before the woken getter runs",
    "stole 1 / a -> 2", async function()
  local q = Queue()
  local t = spawn(tell("a", q:get()))
  await turn()
  q:put_nowait(1)
  log("stole", q:get_nowait())
  await sleep(1)
  q:put_nowait(2)
  await t
end)

case("Q28: what a cancelled putter held is not put", "1 1 true",
    async function()
  local q = fill(Queue(1), 1)
  local t = putter(q, 2)
  await turn()
  t:cancel()
  await asyncio.wait {t}
  log(q:qsize(), q:get_nowait(), q:empty())
end)

case("Q30: nil may be put and is got", "1 / nil / 0", async function()
  local q = Queue()
  q:put_nowait(nil)
  log(q:qsize())
  log(await q:get())
  log(q:qsize())
end)

case("Q32: items loops until shutdown", "1 / 2 / 3 / end", async function()
  local q = fill(Queue(), 1, 2)
  later(1, function()
    q:put_nowait(3)
    q:shutdown()
  end)
  for item in q:items() do log(item) end
  log("end")
end)

case("Q34: a nil among the items is an error in the loop", "1 / misuse",
    async function()
  local q = fill(Queue(), 1)
  q:put_nowait(nil)
  log(fails(function()
    for item in q:items() do log(item) end
  end))
end)

case("Q36: producers and consumers over a small queue lose nothing",
    "500500 0", async function()
  local q, sum = Queue(10), 0
  local consumers = {}
  for i = 1, 3 do
    consumers[i] = spawn(async function()
      for item in q:items() do sum = sum + item end
    end)
  end
  do
    local tg <close> = asyncio.TaskGroup()
    for first = 1, 4 do
      tg:create_task((async function()
        for item = first, 1000, 4 do await q:put(item) end
      end)())
    end
  end
  q:shutdown()
  await asyncio.gather(consumers, {})
  log(sum, q:qsize())
end)

case("Q38: a priority queue gives large heaps in order", "true",
    async function()
  local q = asyncio.PriorityQueue()
  local seed = 7
  for _ = 1, 500 do
    seed = (seed * 1103515245 + 12345) % 2147483648
    q:put_nowait(seed % 100)
  end
  local items, right = drain(q), true
  for i = 2, #items do right = right and items[i - 1] <= items[i] end
  log(right and #items == 500)
end)

case("Q40: cancelled getters at random lose no item", "true",
    async function()
  local q, got, put = Queue(), {}, 0
  local seed, tasks = 3, {}
  local function random(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % n
  end
  for _ = 1, 300 do
    local pick = random(4)
    if pick == 0 then
      tasks[#tasks + 1] = spawn(async function()
        local item = await q:get()
        got[#got + 1] = item
      end)
    elseif pick == 1 then
      put = put + 1
      q:put_nowait(put)
    elseif pick == 2 and #tasks > 0 then
      tasks[random(#tasks) + 1]:cancel()
    else
      await turn()
    end
  end
  await turn()
  for _, t in ipairs(tasks) do t:cancel() end
  if #tasks > 0 then await asyncio.wait(tasks) end
  for _, item in ipairs(drain(q)) do got[#got + 1] = item end
  table.sort(got)
  local right = #got == put
  for i = 1, put do right = right and got[i] == i end
  log(right)
end)

case("Q60: a queue that grows while it turns keeps the order", "true",
    async function()
  local queue, put, got, right = asyncio.Queue(), 0, 0, true
  for round = 1, 200 do
    for _ = 1, round * 7 % 40 do
      put = put + 1
      await queue:put(put)
    end
    for _ = 1, math.min(round * 5 % 37, queue:qsize()) do
      got = got + 1
      right = right and await queue:get() == got
    end
  end
  while not queue:empty() do
    got = got + 1
    right = right and queue:get_nowait() == got
  end
  log(right and got == put)
end)

case("Q61: one that is full and has waiters goes round as well", "true",
    async function()
  local queue, right = asyncio.Queue(37), true
  local putter = spawn(async function()
    for i = 1, 2000 do await queue:put(i) end
  end)
  for i = 1, 2000 do right = right and await queue:get() == i end
  await putter
  log(right)
end)

case("Q62: put without an item puts nil; what is more is dropped",
    "nil 1 / 1 0", async function()
  local queue = asyncio.Queue()
  await queue:put()
  await queue:put(1, 2)
  log(await queue:get(), queue:qsize())
  log(await queue:get(), queue:qsize())
end)

case("Q63: nothing is kept of an item that was got", "0", async function()
  local queue, held = asyncio.Queue(), setmetatable({}, {__mode = "k"})
  for _ = 1, 3 do
    local item = {}
    held[item] = true
    await queue:put(item)
  end
  for _ = 1, 3 do await queue:get() end
  collectgarbage()
  local n = 0
  for _ in pairs(held) do n = n + 1 end
  log(n)
end)

case("Q50: join ends when all was done, though more is put in the same turn",
    "joined 1", async function()
  local q = asyncio.Queue()
  q:put_nowait("a")
  local t = spawn(async function()
    await q:join()
    log("joined", q:qsize())
  end)
  await turn()
  await q:get()
  q:task_done()
  q:put_nowait("b")
  await t
end)

case("Q51: a put waits when the queue is full, whatever it has room for",
    "1 16 17 40 100", async function()
  local held = {}
  for _, size in ipairs {1, 16, 17, 40, 100} do
    local q = asyncio.Queue(size)
    local t = spawn(async function()
      for i = 1, size + 1 do await q:put(i) end
    end)
    await turn()
    await turn()
    if not t:done() then held[#held + 1] = q:qsize() end
    t:cancel()
    await asyncio.wait {t}
  end
  log(table.unpack(held))
end)

case("Q52: equal priorities come in the order of CPython's heapq",
    "1 3 6 5 2 4 / false less 3 / 5 3 4", async function()
  local broken = false
  local q = asyncio.PriorityQueue(0, function(a, b)
    if broken then error("less", 0) end
    return a[1] < b[1]
  end)
  local function rest()
    local list = {}
    while not q:empty() do list[#list + 1] = q:get_nowait()[2] end
    return table.concat(list, " ")
  end
  for i = 1, 6 do q:put_nowait {1, i} end
  log(rest())
  for i = 2, 5 do q:put_nowait {i, i} end
  broken = true
  local ok, e = pcall(q.get_nowait, q)
  broken = false
  log(ok, e, q:qsize())
  log(rest())
end)

case("Q53: an immediate shutdown lets go of the items", "0 0 0",
    async function()
  local left = {}
  for i, make in ipairs {asyncio.Queue, asyncio.LifoQueue,
                         asyncio.PriorityQueue} do
    local q, held = make(), setmetatable({}, {__mode = "k"})
    local item = {}
    held[item] = true
    q:put_nowait(item)
    item = nil
    q:shutdown(true)
    collectgarbage()
    collectgarbage()
    left[i] = next(held) and 1 or 0
    assert(q:qsize() == 0)
  end
  log(table.unpack(left))
end)

case("Q54: what a script may call of a queue's core leaves it whole",
    "0 / 1 item", async function()
  local q, core = asyncio.Queue(), nil
  for _, value in pairs(q) do
    if type(value) == "userdata" then core = value end
  end
  core:taken()
  log(q:qsize())
  core:push "item"
  log(q:qsize(), q:get_nowait())
end)
