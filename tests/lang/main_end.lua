-- When the main chunk ends, all other tasks are cancelled and awaited.

local async function background(name, seconds)
  local _ <close> = asyncio.defer(function()
    print(name .. " cleans up")
    await asyncio.sleep(seconds)
    print(name .. " has cleaned up")
  end)
  await asyncio.sleep(100)
end

asyncio.create_task(background("a", 0.06))
asyncio.create_task(background("b", 0.03))
await asyncio.sleep(0)
print "main ends"

--> main ends
--> a cleans up
--> b cleans up
--> b has cleaned up
--> a has cleaned up
