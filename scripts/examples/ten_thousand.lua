--[[
Ten thousand tasks that all sleep at once, and a call ten thousand deep:
tasks and awaits are cheap enough to be used without counting.
]]

local async function sleeper(i)
  await asyncio.sleep(0.05)
  return i
end

local tasks = {}
for i = 1, 10000 do tasks[i] = sleeper(i) end
local started = asyncio.time()
local results = await asyncio.gather(tasks)
print(#results .. " results")                        --> 10000 results
print("last " .. results[10000])                     --> last 10000
print("at once: " .. tostring(asyncio.time() - started < 30))  --> at once: true

local async function depth(n)
  if n == 0 then return 0 end
  return 1 + await depth(n - 1)
end

print("deep: " .. await depth(10000))                --> deep: 10000
