-- switch.lua - two tasks that give way to each other with asyncio.sleep(0), at
-- call depth 0 and at 20. Prints processor ns a switch.

local SWITCHES <const> = 1000000

async function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

async function down(depth, n)
  if depth == 0 then
    await turns(n)
    return 0
  end
  local below = await down(depth - 1, n)
  return below + 1
end

local function measure(name, depth)
  await asyncio.gather(down(depth, 1000), down(depth, 1000))
  local start = os.clock()
  await asyncio.gather(down(depth, SWITCHES), down(depth, SWITCHES))
  print(name, (os.clock() - start) * 1e9 / (2 * SWITCHES))
end

measure("switch0", 0)
measure("switch20", 20)
