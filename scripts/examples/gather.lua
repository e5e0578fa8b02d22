--[[
gather runs several awaitables at once and gives their values in the order
they were named, whichever comes first. Given a list, it gives a list.
]]

local async function factorial(name, n)
  local product = 1
  for i = 2, n do
    print(("%s: times %d"):format(name, i))
    await asyncio.sleep(0)
    product = product * i
  end
  print(("%s: %d! is %d"):format(name, n, product))
  return product
end

local a, b, c = await asyncio.gather(
  factorial("A", 2), factorial("B", 3), factorial("C", 4))
print(a, b, c)  -- a line of three values

--> A: times 2
--> B: times 2
--> C: times 2
--> A: 2! is 2
--> B: times 3
--> C: times 3
--> B: 3! is 6
--> C: times 4
--> C: 4! is 24
--> 2	6	24

-- A list may be as long as you like, and a value may be nil: `n` counts.
local jobs = {}
for i = 1, 1000 do jobs[i] = asyncio.sleep(0, i % 2 == 0 and i or nil) end
local results = await asyncio.gather(jobs)
print(results.n)     --> 1000
print(results[1])    --> nil
print(results[500])  --> 500
