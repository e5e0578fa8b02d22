--[[
Workers that never end by themselves: each item is marked done with
task_done(), join() waits until all are, then the workers are cancelled. A
second round ends the queue itself instead: shutdown lets the loops of
items() run dry.
]]

local queue = asyncio.Queue()
local handled = {a = 0, b = 0, c = 0}

local async function worker(name)
  while true do
    local size = await queue:get()
    await asyncio.sleep(size / 1000)
    handled[name] = handled[name] + 1
    queue:task_done()
  end
end

for i = 1, 20 do queue:put_nowait(i % 4 + 1) end

local workers = {}
for i, name in ipairs {"a", "b", "c"} do
  workers[i] = asyncio.create_task(worker(name))
end

await queue:join()
for _, task in ipairs(workers) do task:cancel() end
await asyncio.gather(workers, {return_exceptions = true})

print(handled.a + handled.b + handled.c)  --> 20
print(workers[1]:state())                 --> cancelled

queue = asyncio.Queue()
local async function eat(name)
  local count = 0
  for _ in queue:items() do
    await asyncio.sleep(0.001)
    count = count + 1
    queue:task_done()
  end
  return count
end

local eaters = asyncio.gather(eat "x", eat "y")
for i = 1, 10 do await queue:put(i) end
queue:shutdown()
local x, y = await eaters
print(x + y)                              --> 10
