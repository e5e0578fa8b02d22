-- spawn.lua - gather over 100,000 tasks, as a script would write it: `trivial`
-- tasks that only return, or (`suspend`) tasks that each give way once. Prints
-- processor ns a task, of the first wave and the median of later ones.

local TASKS <const> = 100000
local WAVES <const> = 5

async function trivial(i) return i end

async function suspend(i)
  await asyncio.sleep(0)
  return i
end

local function wave(f)
  local start = os.clock()
  local list = {}
  for i = 1, TASKS do list[i] = f(i) end
  local results = await asyncio.gather(list)
  local ns = (os.clock() - start) * 1e9 / TASKS
  assert(results[1] == 1 and results[TASKS] == TASKS)
  return ns
end

local function median(list)
  table.sort(list)
  local n = #list
  return (list[(n + 1) // 2] + list[n // 2 + 1]) / 2
end

local function waves(f, n)
  local list = {}
  for i = 1, n do list[i] = wave(f) end
  return list
end

if arg[1] == "suspend" then
  print("first", wave(suspend))
  print("later", median(waves(suspend, WAVES - 1)))
else
  print("spawn", median(waves(trivial, WAVES)))
end
