-- timeout.lua - a timeout scope around an await that suspends once. Prints the
-- processor ns that the scope adds to the await.

local AWAITS <const> = 500000

local function alone()
  for _ = 1, AWAITS do
    await asyncio.sleep(0)
  end
end

local function scoped()
  for _ = 1, AWAITS do
    local t <close> = asyncio.timeout(30)
    await asyncio.sleep(0)
  end
end

local function measure(run)
  local start = os.clock()
  run()
  return (os.clock() - start) * 1e9 / AWAITS
end

measure(alone)
local await_only = measure(alone)
print("timeout", measure(scoped) - await_only)
