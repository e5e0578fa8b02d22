-- sleepers.lua - N tasks asleep for a second, in one gather. Prints what a
-- task costs in processor time (us) and memory (bytes), and the ms beyond 1 s.

local n = tonumber(arg[1]) or 100000

local function peak_rss()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmHWM:%s*(%d+)")
    if kib then return tonumber(kib) * 1024 end
  end
end

async function nap()
  await asyncio.sleep(1)
end

local rss, cpu, start = peak_rss(), os.clock(), asyncio.time()
do
  local naps = {}
  for i = 1, n do naps[i] = nap() end
  await asyncio.gather(naps)
end
print("cpu", (os.clock() - cpu) * 1e6 / n)
print("late", (asyncio.time() - start - 1) * 1e3)
print("rss", (peak_rss() - rss) / n)
