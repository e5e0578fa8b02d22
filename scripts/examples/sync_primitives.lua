--[[
Locks, events, conditions and barriers: for tasks that must wait for each
other. A task switches only where it awaits, so a lock is needed only around
something that awaits in the middle.
]]

-- Lock: first come, first served.
local lock = asyncio.Lock()
local balance = 100

local async function withdraw(name, amount)
  local _ <close> = await lock:acquire()
  local before = balance
  await asyncio.sleep(0.005)  -- without the lock, others would see `before`
  balance = before - amount
  print(("%s leaves %d"):format(name, balance))
end

await asyncio.gather(withdraw("ann", 10), withdraw("bob", 20))

--> ann leaves 90
--> bob leaves 70

-- Event: something has happened, for all who wait and all who come later.
local ready = asyncio.Event()
local waiter = asyncio.create_task((async function()
  print "waiting for it"
  await ready:wait()
  print "there it is"
end)())
await asyncio.sleep(0.01)
ready:set()
await waiter
await ready:wait()
print(ready:is_set())

--> waiting for it
--> there it is
--> true

-- Condition: wait until something shared has become so.
local stock, changed = 0, asyncio.Condition()

local async function buyer(name, wanted)
  local _ <close> = await changed:acquire()
  await changed:wait_for(function() return stock >= wanted end)
  stock = stock - wanted
  print(("%s buys %d"):format(name, wanted))
end

local buyers = asyncio.gather(buyer("ann", 3), buyer("bob", 1))
for _ = 1, 4 do
  await asyncio.sleep(0.005)
  local _ <close> = await changed:acquire()
  stock = stock + 1
  changed:notify_all()
end
await buyers

--> bob buys 1
--> ann buys 3

-- Barrier: nobody goes on before all have arrived.
local barrier = asyncio.Barrier(3)

local async function runner(name, seconds)
  await asyncio.sleep(seconds)
  print(name .. " is here")
  await barrier:wait()
  return name
end

local a, b, c = await asyncio.gather(
  runner("a", 0.03), runner("b", 0.01), runner("c", 0.02))
print(a .. b .. c .. " go on")

--> b is here
--> c is here
--> a is here
--> abc go on
