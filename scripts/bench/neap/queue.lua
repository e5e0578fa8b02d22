-- queue.lua - one producer and one consumer on a queue of ten places. Prints
-- millions of messages a second of processor time.

local MESSAGES <const> = 1000000
local q = asyncio.Queue(10)

async function produce()
  for i = 1, MESSAGES do await q:put(i) end
end

async function consume()
  local sum = 0
  for _ = 1, MESSAGES do sum = sum + await q:get() end
  return sum
end

local start = os.clock()
local _, sum = await asyncio.gather(produce(), consume())
assert(sum == MESSAGES * (MESSAGES + 1) // 2)
print("queue", MESSAGES / (os.clock() - start) / 1e6)
