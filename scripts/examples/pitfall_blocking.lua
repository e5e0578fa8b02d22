--[[
Pitfall: work that never awaits. No task switches anywhere but at an await,
so a long loop, os.execute or io.read holds up every other task. Long work in
Lua can be cut in slices; what waits should be awaited.
]]

local ticks = 0
local ticker = asyncio.create_task((async function()
  while true do
    await asyncio.sleep(0.001)
    ticks = ticks + 1
  end
end)())

local function busy(seconds, between)
  local finish = asyncio.time() + seconds
  while asyncio.time() < finish do between() end
end

await asyncio.sleep(0)
local before = ticks
busy(0.05, function() end)
print("while blocked: " .. ticks - before)               --> while blocked: 0

before = ticks
busy(0.05, function() await asyncio.sleep(0) end)
print("in slices: " .. tostring(ticks - before > 0))     --> in slices: true

ticker:cancel()
