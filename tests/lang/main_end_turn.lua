-- After the end of the main chunk those who are ready have one more turn.

local async function background(name)
  for i = 1, 9 do
    print(name .. " " .. i)
    await asyncio.sleep(0)
  end
end

asyncio.create_task(background "a")
await asyncio.sleep(0)
asyncio.create_task(background "b")
print "main ends"

--> a 1
--> main ends
--> a 2
--> b 1
