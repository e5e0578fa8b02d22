-- Tasks by the hundred thousand, made, cancelled at random points and
-- collected: what Lua and the system count as used stays what it was.
--
--   SOAK   how many tasks in all (100000; a soak is a million)

local stress = (os.getenv "NEAP_TEST_GC" or "0"):find "[12]"
local total = tonumber(os.getenv "SOAK") or stress and 5000 or 100000
local ROUNDS, WARM = 10, 3 -- memory may grow in the first ones
local ALIVE = 300          -- tasks at once

math.randomseed(20240229)
local random = math.random

-- == What tasks do ======================================================

local function look(task)
  if not task:cancelled() then task:exception() end
end

-- A task whose error nobody has to retrieve.
local function spawn(x)
  local task = asyncio.create_task(x)
  task:add_done_callback(look)
  return task
end

local queue = asyncio.Queue(5)
local lock, semaphore = asyncio.Lock(), asyncio.Semaphore(3)
local event = asyncio.Event()
local live, made = {}, 0
local kinds, step = {}, nil

local function nap()
  await asyncio.sleep(random(3) == 1 and random() / 2000 or 0)
end

function kinds.sleep() nap() end

function kinds.fail() nap() error "on purpose" end

function kinds.values() return nap(), 1, nil, "three" end

function kinds.put()
  local _ <close> = asyncio.timeout(0.002)
  await queue:put(random(100))
end

function kinds.get()
  local _ <close> = asyncio.timeout(0.002)
  await queue:get()
end

function kinds.exclude()
  await lock:acquire()
  local _ <close> = asyncio.defer(function() lock:release() end)
  nap()
end

function kinds.share()
  await semaphore:acquire()
  local _ <close> = asyncio.defer(function() semaphore:release() end)
  nap()
end

function kinds.clean_up()
  local _ <close> = asyncio.defer(async function() nap() end)
  nap()
  nap()
end

function kinds.time_out()
  local _ <close> = asyncio.timeout(random() / 1000)
  await asyncio.sleep(random() / 500)
end

function kinds.event()
  if random(3) == 1 then event:set() else event:clear() end
  local _ <close> = asyncio.timeout(0.001)
  await event:wait()
end

function kinds.generate()
  local next = coroutine.wrap(function()
    for i = 1, 3 do nap() coroutine.yield(i) end
  end)
  for _ = 1, random(3) do next() end
end

function kinds.catch() pcall(step, 3) nap() end

function kinds.swallow() asyncio.catch(nap) end

function kinds.late() -- cancelled before it runs
  asyncio.create_task(asyncio.sleep(1)):cancel()
  made = made + 1
end

local async function child(depth)
  made = made + 1
  step(depth + 2)
end

function kinds.gather(depth)
  await asyncio.gather({child(depth), child(depth), child(depth)},
    {return_exceptions = random(2) == 1})
end

function kinds.group(depth)
  local group <close> = asyncio.TaskGroup()
  for _ = 1, 3 do group:create_task(child(depth)) end
  if random(4) == 1 then nap() group:cancel() end
end

function kinds.wait(depth)
  local a, b = spawn(child(depth)), spawn(child(depth))
  local _ <close> = asyncio.defer(function() a:cancel() b:cancel() end)
  await asyncio.wait({a, b}, {return_when = "FIRST_COMPLETED"})
end

function kinds.completed(depth)
  for task in asyncio.as_completed{
      spawn(child(depth)), spawn(child(depth))} do
    pcall(await, task)
  end
end

function kinds.shield(depth) await asyncio.shield(spawn(child(depth))) end

function kinds.wait_for(depth)
  await asyncio.wait_for(child(depth), random() / 1000)
end

function kinds.callback()
  local future = asyncio.Future()
  local loop = asyncio.get_running_loop()
  local handle = loop:call_later(random() / 1000, function()
    if not future:done() then future:set_result(1) end
  end)
  local _ <close> = asyncio.defer(function() handle:cancel() end)
  await future
end

local simple, all = {"sleep", "fail", "values", "clean_up", "catch"}, {}
for name in pairs(kinds) do all[#all + 1] = name end
table.sort(all)

function step(depth)
  local names = depth > 2 and simple or all
  kinds[names[random(#names)]](depth)
end

local async function program()
  for _ = 1, random(3) do step(1) end
end

-- == Rounds =============================================================

local function ended(task)
  live[task] = nil
  look(task)
end

local function start()
  local task = asyncio.create_task(program())
  live[task], made = true, made + 1
  task:add_done_callback(ended)
end

local function cancel_some()
  for task in pairs(live) do
    if random(10) == 1 then task:cancel() end
  end
end

-- Cancels whatever is left but the tasks in the set `others`.
local function end_all(others)
  local left
  repeat
    left = 0
    for _, task in ipairs(asyncio.all_tasks()) do
      if not others[task] then
        left = left + 1
        task:cancel()
      end
    end
    await asyncio.sleep(0)
  until left == 0
end

local function round(count)
  local others = {}
  for _, task in ipairs(asyncio.all_tasks()) do others[task] = true end
  made = 0
  while made < count do
    for _ = #asyncio.all_tasks(), ALIVE do start() end
    if random(3) == 1 then cancel_some() end
    await asyncio.sleep(0)
  end
  end_all(others)
  assert(next(live) == nil, "a task's end was not told")
end

-- == Memory =============================================================

local function contents(path)
  local file = io.open(path)
  local text = file and file:read "a" or ""
  if file then file:close() end
  return text
end

-- A sanitizer keeps what was freed.
local sanitized = contents "/proc/self/maps":find "lib[at]san" ~= nil

local function resident()
  local pages = contents "/proc/self/statm":match "^%d+ (%d+)"
  return not sanitized and pages and tonumber(pages) * 4 or 0
end

local lua, system = 0, 0 -- KiB, the most in the rounds that warm up

local function measure(number)
  collectgarbage()
  collectgarbage()
  local used, all_of_it = collectgarbage "count", resident()
  if os.getenv "SOAK" then
    print(("round %d: %.0f KiB of Lua, %d resident"):format(number, used,
      all_of_it))
  end
  if number <= WARM then
    lua, system = math.max(lua, used), math.max(system, all_of_it)
    return
  end
  assert(used < lua * 1.2 + 64, ("Lua uses %.0f KiB, before %.0f")
    :format(used, lua))
  assert(all_of_it < system * 1.10 + 2048, ("resident are %d KiB, before %d")
    :format(all_of_it, system))
end

for number = 1, ROUNDS do
  local title = "%d tasks leave nothing behind: round %d"
  test(title:format(total // ROUNDS, number), async function()
    round(total // ROUNDS)
    measure(number)
  end)
end
