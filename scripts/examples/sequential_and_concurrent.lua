--[[
Fetches one after the other, then all at once. A sleep stands in for the
network: while one fetch waits, the others go on, so three together take as
long as the slowest.
]]

local async function fetch(page)
  print("asking for " .. page)
  await asyncio.sleep(0.05)
  print("received " .. page)
  return #page
end

local started = asyncio.time()
local total = 0
for _, page in ipairs {"index", "news", "about"} do
  total = total + await fetch(page)
end
local sequential = asyncio.time() - started
print("one after the other: " .. total)

started = asyncio.time()
local a, b, c = await asyncio.gather(
  fetch "index", fetch "news", fetch "about")
local concurrent = asyncio.time() - started
print("all at once: " .. a + b + c)
print("faster: " .. tostring(concurrent < sequential))

--> asking for index
--> received index
--> asking for news
--> received news
--> asking for about
--> received about
--> one after the other: 14
--> asking for index
--> asking for news
--> asking for about
--> received index
--> received news
--> received about
--> all at once: 14
--> faster: true
