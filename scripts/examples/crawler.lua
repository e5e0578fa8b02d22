--[[
A crawler as a class: workers take addresses from a queue, fetch, find the
links and put the new ones back. It ends when the queue has been worked off.
The site is a table and the network a sleep, so that the result is the same
every time.
]]

local SITE = {
  ["/"] = "welcome: /news /docs /missing",
  ["/news"] = "news: / /news/1 /news/2",
  ["/news/1"] = "first: /news",
  ["/news/2"] = "second: /news /docs/api",
  ["/docs"] = "docs: /docs/api /docs/guide /slow",
  ["/docs/api"] = "api: /docs",
  ["/docs/guide"] = "guide: /docs /",
  ["/slow"] = "this one takes for ever",
}

local NotFound = asyncio.Error:extend "NotFound"

local async function fetch(path)
  await asyncio.sleep(path == "/slow" and 3600 or 0.003)
  local page = SITE[path]
  if not page then error(NotFound.new(path .. ": not found")) end
  return page
end

local Crawler = {}
Crawler.__index = Crawler

local function new_crawler(options)
  return setmetatable({
    workers = options.workers,
    timeout = options.timeout,
    queue = asyncio.Queue(),
    seen = {},
    pages = {},
    failed = {},
  }, Crawler)
end

function Crawler:add(path)
  if self.seen[path] then return end
  self.seen[path] = true
  self.queue:put_nowait(path)
end

async function Crawler:visit(path)
  local page = await asyncio.wait_for(fetch(path), self.timeout)
  self.pages[#self.pages + 1] = path
  for link in page:gmatch "/%S*" do self:add(link) end
end

async function Crawler:work()
  for path in self.queue:items() do
    local ok, err = pcall(await, self:visit(path))
    if not ok then self.failed[path] = err.name end
    self.queue:task_done()
  end
end

async function Crawler:run(start)
  self:add(start)
  local tg <close> = asyncio.TaskGroup()
  for _ = 1, self.workers do tg:create_task(self:work()) end
  await self.queue:join()
  self.queue:shutdown()
end

local crawler = new_crawler {workers = 3, timeout = 0.3}
await crawler:run "/"

table.sort(crawler.pages)
for _, path in ipairs(crawler.pages) do print(path) end
print("/missing: " .. crawler.failed["/missing"])
print("/slow: " .. crawler.failed["/slow"])

--> /
--> /docs
--> /docs/api
--> /docs/guide
--> /news
--> /news/1
--> /news/2
--> /missing: NotFound
--> /slow: TimeoutError
