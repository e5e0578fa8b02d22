--[[
Producers and consumers over a bounded queue, ended by a sentinel: a value
that cannot be an item. A full queue makes its producers wait, so nobody runs
ahead of the consumers by more than its size.
]]

local DONE = {}
local queue = asyncio.Queue(2)

local async function produce(name, count)
  for i = 1, count do
    await queue:put(name .. i)
    assert(queue:qsize() <= 2)
  end
end

local async function consume(eaten)
  while true do
    local item = await queue:get()
    if item == DONE then return #eaten end
    await asyncio.sleep(0.001)
    eaten[#eaten + 1] = item
  end
end

local eaten = {}
do
  local consumers <close> = asyncio.TaskGroup()
  for _ = 1, 3 do consumers:create_task(consume(eaten)) end
  await asyncio.gather(produce("a", 6), produce("b", 4))
  for _ = 1, 3 do await queue:put(DONE) end
end

table.sort(eaten)
print(table.concat(eaten, " "))  --> a1 a2 a3 a4 a5 a6 b1 b2 b3 b4
print(queue:empty())             --> true
