--[[
Pitfall: a task that nobody keeps. The loop holds it, so it is not lost
half-way (in Python it may be); but when the main chunk ends it is cancelled,
and an error that nobody asked for is reported and makes the program fail.
Keep tasks in a group, or await them.
]]

local async function log(text, seconds)
  await asyncio.sleep(seconds)
  print(text)
end

asyncio.create_task(log("kept by the loop", 0.01))
collectgarbage()
await asyncio.sleep(0.03)             --> kept by the loop

asyncio.create_task((async function()
  await asyncio.sleep(0.001)
  error "nobody hears me"
end)(), {name = "orphan"})
await asyncio.sleep(0.03)
collectgarbage()
await asyncio.sleep(0)

asyncio.create_task(log("never printed", 10))
print "end of the main chunk"         --> end of the main chunk

--!> 'orphan' was never retrieved: scripts/examples/pitfall_unr
--!> spawned at
--status 1
