--[[
Async iterators and generators need no words of their own: an iterator is a
function, a generator is a coroutine, and await works in both. It parks the
task, not the generator.
]]

-- An iterator: a closure that awaits.
local function countdown(from)
  return function()
    if from == 0 then return nil end
    await asyncio.sleep(0.01)
    from = from - 1
    return from + 1
  end
end

-- A generator: yield gives an item, await waits for the world.
local function ticker(count, seconds)
  return coroutine.wrap(function()
    for i = 1, count do
      coroutine.yield("tick " .. i)
      await asyncio.sleep(seconds)
    end
  end)
end

for i in countdown(3) do print(i) end

--> 3
--> 2
--> 1

-- Generators over generators: each line of each page, as they come.
local async function page(n)
  await asyncio.sleep(0.005)
  return ("page %d: first\npage %d: second"):format(n, n)
end

local function lines(count)
  return coroutine.wrap(function()
    for n = 1, count do
      for line in (await page(n)):gmatch "[^\n]+" do coroutine.yield(line) end
    end
  end)
end

for line in lines(2) do print(line) end

--> page 1: first
--> page 1: second
--> page 2: first
--> page 2: second

-- While one iterates, other tasks run.
local other = asyncio.create_task((async function()
  await asyncio.sleep(0.03)
  print "somebody else"
end)())
for tick in ticker(2, 0.06) do print(tick) end

--> tick 1
--> somebody else
--> tick 2

-- A comprehension is a loop.
local squares = {}
for i in countdown(4) do squares[#squares + 1] = i * i end
print(table.concat(squares, " "))  --> 16 9 4 1
