-- queues.lua - Queue, PriorityQueue and LifoQueue.
--
-- CPython 3.13's queues. A get of a queue that has items and a put into one
-- that has room do not suspend. nil is an item like any other.
--
-- What they count and who waits is in the core, which is C; so are put and get
-- of the plain queue as a whole, because programs spend their time there.

local asyncio = asyncio
local typename = asyncio._typename
local new_core = asyncio._queue

local CORE <const>, ITEMS <const> = 1, 2

local function stopped()
  error(asyncio.QueueShutDown.new("the queue was shut down"), 0)
end

-- == Queue ==============================================================

local Queue = {__name = "Queue"}
Queue.__index = Queue

--- async queue:put(item)
--
-- Waits while the queue is full. *Raises* QueueShutDown.

--- async queue:get() -> item
--
-- Waits while the queue is empty. *Raises* QueueShutDown.

-- _put_item and _get_item also count.

function Queue:_put_item(item) self[CORE]:push(item) end
function Queue:_get_item() return self[CORE]:pop() end

--- queue:put_nowait(item)
--
-- Does not wait but *raises* QueueFull; or QueueShutDown.
function Queue:put_nowait(item)
  if self.is_shutdown then stopped() end
  if self[CORE]:full() then
    error(asyncio.QueueFull.new("the queue is full"), 0)
  end
  self:_put_item(item)
end

--- queue:get_nowait() -> item
--
-- Does not wait but *raises* QueueEmpty; or QueueShutDown.
function Queue:get_nowait()
  if self[CORE]:size() == 0 then
    if self.is_shutdown then stopped() end
    error(asyncio.QueueEmpty.new("the queue is empty"), 0)
  end
  return self:_get_item()
end

--- queue:items() -> iterator
--
-- `for item in queue:items() do` gets until the queue is shut down and empty.
-- A nil item in it is an error: use `get`. `task_done` is the body's to call.
function Queue:items()
  local get = self.get
  return function()
    local ok, item = pcall(await, get(self))
    if ok then
      if item == nil then
        asyncio._misuse("a nil item ends no loop over queue:items(): use get")
      end
      return item
    end
    if asyncio.iserror(item, asyncio.QueueShutDown) then return nil end
    error(item, 0)
  end
end

-- == Size and completion ================================================

--- queue:qsize() -> integer
--- queue:empty() -> boolean
--- queue:full() -> boolean
function Queue:qsize() return (self[CORE]:size()) end
function Queue:empty() return self[CORE]:size() == 0 end
function Queue:full() return self[CORE]:full() end

--- queue:task_done()
--
-- Says that an item that was got has been dealt with. *Raises* if that was
-- said of all already.
function Queue:task_done()
  if not self[CORE]:task_done() then
    asyncio._misuse("task_done was called more often than there were items")
  end
end

--- async queue:join()
--
-- Waits until `task_done` was said of every item put.
async function Queue:join()
  self[CORE]:wait_to "join"
end

--- queue:shutdown([immediate = false])
--
-- From now on `put` raises QueueShutDown, and so does `get` when the queue is
-- empty; who waits is told. `immediate` also throws the items away, and counts
-- them as done.
function Queue:shutdown(immediate)
  self.is_shutdown = true
  if immediate then self[ITEMS] = {} end
  self[CORE]:shutdown(immediate)
end

local reasons = {get = "empty", put = "full"}

-- "Queue (3 items)"
function Queue:__tostring()
  local n = self:qsize()
  return ("%s (%d item%s)"):format(getmetatable(self).__name, n,
                                   n == 1 and "" or "s")
end

-- For dump.lua.
function Queue:_describe(method)
  local _, open = self[CORE]:size()
  return ("%s, %d waiting"):format(reasons[method] or open .. " not done",
    self[CORE]:waiting(method))
end

-- == Other orders =======================================================

local function derive(name)
  local class = {__name = name}
  for key, value in pairs(Queue) do
    if class[key] == nil then class[key] = value end
  end
  class.__index = class
  async function class:put(item)
    self[CORE]:wait_to "put"
    self:put_nowait(item)
  end
  async function class:get()
    self[CORE]:wait_to "get"
    return self:get_nowait()
  end
  return class
end

local Stack = derive("LifoQueue")

function Stack:_put_item(item)
  local core = self[CORE]
  self[ITEMS][core:size() + 1] = item
  core:added()
end

function Stack:_get_item()
  local core, items = self[CORE], self[ITEMS]
  local n = core:size()
  local item = items[n]
  items[n] = nil
  core:taken()
  return item
end

-- A binary heap; the smallest by `less` comes first. It moves as CPython's
-- heapq does, so that equal ones come in the same order; by swaps, so that no
-- other item is lost when `less` raises.
local Heap = derive("PriorityQueue")

local function sift_up(items, less, i, item)
  items[i] = item
  while i > 1 do
    local up = i // 2
    if not less(item, items[up]) then break end
    items[i], items[up] = items[up], item
    i = up
  end
end

-- Puts `item` first: down to a leaf and up from there.
local function sift_down(items, less, n, item)
  local i, down = 1, 2
  items[1] = item
  while down <= n do
    if down < n and not less(items[down], items[down + 1]) then
      down = down + 1
    end
    items[i], items[down] = items[down], item
    i, down = down, 2 * down
  end
  sift_up(items, less, i, item)
end

function Heap:_put_item(item)
  local core = self[CORE]
  sift_up(self[ITEMS], self.less, core:size() + 1, item)
  core:added()
end

function Heap:_get_item()
  local core, items = self[CORE], self[ITEMS]
  local n = core:size()
  local top, item = items[1], items[n]
  items[n] = nil
  core:taken()
  if n > 1 then sift_down(items, self.less, n - 1, item) end
  return top
end

-- == Making =============================================================

local function new(maxsize, class)
  if maxsize == nil then maxsize = 0 end
  if type(maxsize) ~= "number" or maxsize ~= maxsize then
    asyncio._misuse(("%s needs a number as its size, not %s"):format(
      class.__name, maxsize ~= maxsize and "nan"
        or ("a %s value"):format(typename(maxsize))))
  end
  local limit = maxsize > 0 and maxsize or math.huge
  local core, put, get = new_core(limit)
  local self = {core, put = put, get = get, maxsize = maxsize}
  if class ~= Queue then
    self[ITEMS], self.put, self.get = {}, class.put, class.get
  end
  return setmetatable(self, class)
end

local function plain_less(a, b) return a < b end

return {
  --- asyncio.Queue([maxsize = 0]) -> queue
  --
  -- First in, first out. A maxsize of 0 or less means no limit. Items may be
  -- any values, nil included.
  Queue = function(maxsize) return new(maxsize, Queue) end,
  --- asyncio.LifoQueue([maxsize = 0]) -> queue
  --
  -- The same, last in, first out.
  LifoQueue = function(maxsize) return new(maxsize, Stack) end,
  --- asyncio.PriorityQueue([maxsize = 0 [, less]]) -> queue
  --
  -- The same, the least item first; `less(a, b)` says which of two is less,
  -- and is `a < b` if you give none.
  --
  -- ```lua
  -- local function less(a, b) return a[1] < b[1] end
  -- local queue = asyncio.PriorityQueue(0, less)
  -- queue:put_nowait {3, "later"}
  -- queue:put_nowait {1, "now"}
  -- queue:put_nowait {2, "soon"}
  -- queue:shutdown()
  -- for item in queue:items() do print(item[2]) end
  --
  -- --> now
  -- --> soon
  -- --> later
  -- ```
  PriorityQueue = function(maxsize, less)
    if less ~= nil and type(less) ~= "function" then
      asyncio._misuse(("PriorityQueue needs a function that compares, not a " ..
                       "%s value"):format(typename(less)))
    end
    local queue = new(maxsize, Heap)
    queue.less = less or plain_less
    return queue
  end,
}
