--[[
Random programs of everything asyncio has, with cancels in between. What they
compute does not matter; they must end when all their tasks are cancelled, and
nothing may crash or stay. A seed that once failed is worth keeping.
]]

require "tests.cases"

local random = math.random
local tasks, operations = {}, {}
local lock, sem, queue, cond, event, barrier

local function operate(depth)
  return operations[random(#operations)](depth)
end

local function add(operation)
  operations[#operations + 1] = operation
end

-- Adds one that makes more of the program, unless it is deep already.
local function grow(operation)
  add(function(depth)
    if depth > 0 then return operation(depth - 1) end
    await asyncio.sleep(0)
  end)
end

local async function program(depth)
  for _ = 1, random(3) do operate(depth) end
  if random(12) == 1 then error(Boom.new "x") end
  if random(40) == 1 then error "text" end
  return 1, nil, 3
end

local function moment() return random(0, 4) / 2000 end

local function anything(depth)
  local kind = random(5)
  if kind == 1 then return asyncio.sleep(moment()) end
  if kind == 2 then return queue:get() end
  if kind == 3 then return event:wait() end
  return program(depth)
end

local function begin(depth)
  local t = asyncio.create_task(program(depth))
  tasks[#tasks + 1] = t
  return t
end

-- Tasks that wait only for younger ones cannot wait in a ring.
local function age(t)
  return tonumber(t:get_name():match "^Task%-(%d+)") or 0
end

local function either(value)
  if random(2) == 1 then return value end
end

add(function() await asyncio.sleep(0) end)
add(function() await asyncio.sleep(moment()) end)
add(function() queue:shutdown(random(2) == 1) end)
add(function() queue = asyncio.Queue(random(0, 2)) end)
add(function() await queue:put(1) end)
add(function() pcall(queue.put_nowait, queue, 2) end)
add(function() await queue:get() end)
add(function() event:set() end)
add(function() event:clear() end)
add(function() await event:wait() end)
add(function() await barrier:wait() end)
add(function() sem:release() end)
add(function() asyncio.current_task():cancel() end)
add(function() asyncio.current_task():uncancel() end)
add(function() collectgarbage "step" end)

add(function()
  if #tasks > 0 then tasks[random(#tasks)]:cancel() end
end)
add(function()
  local t = tasks[random(math.max(#tasks, 1))]
  if t and age(t) > age(asyncio.current_task()) then await t end
end)
add(function()
  local _ <close> = await cond:acquire()
  if random(2) == 1 then cond:notify(random(2)) else await cond:wait() end
end)
add(function()
  local f = asyncio.Future()
  asyncio.get_running_loop():call_later(moment(), function()
    if not f:done() then f:set_result(1) end
  end)
  await f
end)

grow(function(depth) await program(depth) end)
grow(function(depth) await begin(depth) end)
grow(function(depth) begin(depth) end)
grow(function(depth) await asyncio.gather(anything(depth), anything(depth)) end)
grow(function(depth)
  await asyncio.gather({anything(depth), anything(depth)},
    {return_exceptions = true})
end)
grow(function(depth)
  local tg <close> = asyncio.TaskGroup({limit = either(random(2))})
  for _ = 1, random(3) do tg:create_task(program(depth)) end
  operate(depth)
end)
grow(function(depth)
  local _ <close> = asyncio.timeout(moment())
  operate(depth)
end)
grow(function(depth) await asyncio.wait_for(anything(depth), moment()) end)
grow(function(depth) await asyncio.shield(begin(depth)) end)
grow(function(depth)
  await asyncio.wait({begin(depth), begin(depth)},
    {timeout = either(moment()), return_when = either "FIRST_COMPLETED"})
end)
grow(function(depth)
  local opts = {timeout = either(moment())}
  for t in asyncio.as_completed({begin(depth), begin(depth)}, opts) do
    pcall(await, t)
    if random(3) == 1 then break end
  end
end)
grow(function(depth)
  local _ <close> = await lock:acquire()
  operate(depth)
end)
grow(function(depth)
  local _ <close> = await sem:acquire()
  operate(depth)
end)
grow(function(depth) pcall(operate, depth) end)
grow(function(depth) xpcall(operate, debug.traceback, depth) end)
grow(function(depth) asyncio.catch(operate, depth) end)
grow(function(depth)
  local _ <close> = asyncio.defer(function() operate(depth) end)
  operate(depth)
end)
grow(function(depth)
  local values = coroutine.wrap(function()
    for i = 1, random(3) do
      coroutine.yield(i)
      operate(depth)
    end
  end)
  for _ in values do
    operate(depth)
    if random(3) == 1 then break end
  end
end)
grow(function(depth)
  local co = coroutine.create(function()
    local _ <close> = asyncio.defer(function() operate(depth) end)
    coroutine.yield()
    operate(depth)
  end)
  coroutine.resume(co)
  if random(2) == 1 then coroutine.resume(co) end
  coroutine.close(co)
end)
grow(function(depth)
  local t = begin(depth)
  t:add_done_callback(function() if random(2) == 1 then error "cb" end end)
end)

-- Cancels all tasks of the program, which have no names of their own.
local function stop()
  for _ = 1, 50 do
    local others = {}
    for _, t in ipairs(asyncio.all_tasks()) do
      if t:get_name():find "^Task" then
        others[#others + 1] = t
        t:cancel()
      end
    end
    if #others == 0 then return end
    await asyncio.wait(others, {timeout = 0.1})
  end
  error "tasks that cannot be cancelled"
end

for _, seed in ipairs {1, 3, 7, 31, 34, 37} do
  test(("random programs end when they are cancelled (seed %d)"):format(seed),
      async function()
    asyncio.get_running_loop():set_exception_handler(function() end)
    math.randomseed(seed)
    for _ = 1, 40 do
      lock, cond = asyncio.Lock(), asyncio.Condition()
      event, barrier = asyncio.Event(), asyncio.Barrier(2)
      sem, queue = asyncio.Semaphore(random(0, 2)), asyncio.Queue(random(0, 2))
      tasks = {}
      local roots = {}
      for i = 1, random(5) do roots[i] = begin(5) end
      await asyncio.wait(roots, {timeout = 0.01})
      stop()
    end
    tasks = {}
  end)
end
