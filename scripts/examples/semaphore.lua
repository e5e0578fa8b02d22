--[[
A hundred jobs, ten at a time. The semaphore is held to the end of the scope,
whether the job succeeds, fails or is cancelled.
]]

local gate = asyncio.Semaphore(10)
local inside, most, finished = 0, 0, 0

local async function job(i)
  local _ <close> = await gate:acquire()
  inside = inside + 1
  most = math.max(most, inside)
  await asyncio.sleep(0.002)
  inside = inside - 1
  finished = finished + 1
  return i
end

local jobs = {}
for i = 1, 100 do jobs[i] = job(i) end
local results = await asyncio.gather(jobs)

local sum = 0
for _, value in ipairs(results) do sum = sum + value end
print(finished .. " jobs")        --> 100 jobs
print(most .. " at once")         --> 10 at once
print("sum " .. sum)              --> sum 5050
print(tostring(gate:locked()))    --> false
