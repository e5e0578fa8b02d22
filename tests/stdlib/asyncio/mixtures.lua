--[[
Gathers of children that end, wait, fail, look and cancel in any mixture, some
of them futures and some twice, which are cancelled at any time. What they give
does not matter: nothing may crash, and nothing may stay.
]]

local random = math.random
local queue, future, task

local kinds = {
  function(i) return i end,
  function(i) await asyncio.sleep(0) return i end,
  function(i) error(i, 0) end,
  function(i) future:set_result(i) error(i, 0) end,
  function(i) await asyncio.sleep(random() / 1000) return i end,
  function() return #asyncio.all_tasks() end,
  function() asyncio.current_task():cancel() await asyncio.sleep(0) end,
  function(i) await queue:put(i) end,
  function() return await queue:get() end,
  function()
    local t <close> = asyncio.timeout(random() / 2000)
    await asyncio.sleep(random() / 1000)
  end,
  function()
    local _ <close> = asyncio.defer(async function() await asyncio.sleep(0) end)
    await asyncio.sleep(1)
  end,
}

local async function child(kind, i) return kinds[kind](i) end

local function children()
  local list = {}
  for i = 1, random(40) do list[i] = child(random(#kinds), i) end
  if random(4) == 1 then
    task = asyncio.create_task(child(random(#kinds), 0))
    list[#list + 1] = task
  end
  if random(3) == 1 then list[#list + 1] = future end
  if random(4) == 1 then list[#list + 1] = list[random(#list)] end
  return list
end

local function disturb(gather)
  local how = random(4)
  if how == 1 then
    gather:cancel()
  elseif how == 2 then
    await asyncio.sleep(0)
    gather:cancel()
  elseif how == 3 then
    asyncio.all_tasks()
  end
end

local function round()
  queue, future, task = asyncio.Queue(3), asyncio.Future(), nil
  local gather = asyncio.gather(children(),
    {return_exceptions = random(2) == 1})
  disturb(gather)
  asyncio.catch(function()
    local t <close> = asyncio.timeout(0.002)
    await gather
  end)
  gather:cancel()
  asyncio.catch(await, gather)
  if task then
    task:cancel()
    asyncio.catch(await, task)
  end
end

for _, seed in ipairs {1, 2, 4} do
  test(("any mixture of children ends (seed %d)"):format(seed),
      async function()
    asyncio.get_running_loop():set_exception_handler(function() end)
    math.randomseed(seed)
    for _ = 1, 60 do round() end
  end)
end
