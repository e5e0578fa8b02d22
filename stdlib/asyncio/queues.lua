-- queues.lua - Queue, PriorityQueue and LifoQueue.
--
-- CPython 3.13's queues. A get of a queue that has items and a put into one
-- that has room do not suspend; those of the plain queue are written out,
-- because programs spend their time there. nil is an item like any other.

local asyncio = asyncio
local Future, attempt, release = asyncio.Future, asyncio._attempt,
  asyncio._release

-- Where a queue keeps its state: Lua finds a small integer faster than a
-- name. LIMIT is the size from which a put has to wait, -1 after shutdown.
local SIZE <const>, LIMIT <const>, ITEMS <const> = 1, 2, 3
local HEAD <const>, MASK <const>, UNFINISHED <const> = 4, 5, 6
local GETTERS <const>, PUTTERS <const>, JOINERS <const> = 7, 8, 9
local GETTING <const>, PUTTING <const>, JOINING <const> = 10, 11, 12

local function stopped()
  error(asyncio.QueueShutDown.new("the queue was shut down"), 0)
end

-- == Who waits ==========================================================

-- In self[list] is a list of futures with holes (false), in self[list + 3]
-- how many of them may still be waiting.

local function wake_next(self, list)
  local waiting = self[list]
  local first = waiting.first
  while first <= waiting.last do
    local f = waiting[first]
    waiting[first] = nil
    first = first + 1
    if f then
      self[list + 3] = self[list + 3] - 1
      if release(f) then break end
    end
  end
  if first > waiting.last then first, waiting.last = 1, 0 end
  waiting.first = first
end

local function wake_all(self, list)
  while self[list + 3] > 0 do wake_next(self, list) end
end

-- Waits in a list; a wake-up that comes together with a cancellation is
-- handed on if `can_go(self)`.
local function wait_in(self, list, can_go)
  local waiting = self[list]
  local f, i = waiting.spare or Future(), waiting.last + 1
  waiting.spare = nil
  waiting.last = i
  waiting[i] = f
  self[list + 3] = self[list + 3] + 1
  local ok, e = attempt(f)
  if ok then
    waiting.spare = f
    return
  end
  if waiting[i] == f then
    waiting[i] = false
    self[list + 3] = self[list + 3] - 1
  end
  if can_go(self) and not f:cancelled() and self[list + 3] > 0 then
    wake_next(self, list)
  end
  error(e, 0)
end

local function has_room(self) return self[SIZE] < self[LIMIT] end
local function has_items(self) return self[SIZE] > 0 end
local function is_finished(self) return self[UNFINISHED] == 0 end

local function wait_for_room(self)
  while self[SIZE] >= self[LIMIT] do
    if self.is_shutdown then stopped() end
    wait_in(self, PUTTERS, has_room)
  end
end

local function wait_for_item(self)
  while self[SIZE] == 0 do
    if self.is_shutdown then stopped() end
    wait_in(self, GETTERS, has_items)
  end
end

-- == Queue ==============================================================

-- The items are a ring: MASK + 1 places, a power of two, the first item at
-- HEAD, counted from 0.
local Queue = {__name = "Queue"}
Queue.__index = Queue

local function new_ring(places)
  local ring = {}
  for i = 1, places do ring[i] = false end
  return ring
end

local function grow(self)
  local old, places = self[ITEMS], self[MASK] + 1
  local ring, head = new_ring(places * 2), self[HEAD]
  for i = 0, self[SIZE] - 1 do
    ring[i + 1] = old[(head + i & places - 1) + 1]
  end
  self[ITEMS], self[HEAD], self[MASK] = ring, 0, places * 2 - 1
end

--- async queue:put(item)
--
-- Waits while the queue is full. *Raises* QueueShutDown.
async function Queue:put(item)
  local size = self[SIZE]
  if size >= self[LIMIT] then
    wait_for_room(self)
    size = self[SIZE]
  end
  if size > self[MASK] then grow(self) end
  self[ITEMS][(self[HEAD] + size & self[MASK]) + 1] = item
  self[SIZE] = size + 1
  self[UNFINISHED] = self[UNFINISHED] + 1
  if self[GETTING] > 0 then wake_next(self, GETTERS) end
end

--- async queue:get() -> item
--
-- Waits while the queue is empty. *Raises* QueueShutDown.
async function Queue:get()
  if self[SIZE] == 0 then wait_for_item(self) end
  local items, head = self[ITEMS], self[HEAD]
  local item = items[head + 1]
  items[head + 1] = false
  self[HEAD] = head + 1 & self[MASK]
  self[SIZE] = self[SIZE] - 1
  if self[PUTTING] > 0 then wake_next(self, PUTTERS) end
  return item
end

-- _put_item and _get_item only keep and give; they do not count.

function Queue._put_item(self, item)
  local size = self[SIZE]
  if size > self[MASK] then grow(self) end
  self[ITEMS][(self[HEAD] + size & self[MASK]) + 1] = item
end

function Queue._get_item(self)
  local items, head = self[ITEMS], self[HEAD]
  local item = items[head + 1]
  items[head + 1] = false
  self[HEAD] = head + 1 & self[MASK]
  return item
end

--- queue:put_nowait(item)
--
-- Does not wait but *raises* QueueFull; or QueueShutDown.
function Queue:put_nowait(item)
  if self[SIZE] >= self[LIMIT] then
    if self.is_shutdown then stopped() end
    error(asyncio.QueueFull.new("the queue is full"), 0)
  end
  self:_put_item(item)
  self[SIZE] = self[SIZE] + 1
  self[UNFINISHED] = self[UNFINISHED] + 1
  if self[GETTING] > 0 then wake_next(self, GETTERS) end
end

--- queue:get_nowait() -> item
--
-- Does not wait but *raises* QueueEmpty; or QueueShutDown.
function Queue:get_nowait()
  if self[SIZE] == 0 then
    if self.is_shutdown then stopped() end
    error(asyncio.QueueEmpty.new("the queue is empty"), 0)
  end
  local item = self:_get_item()
  self[SIZE] = self[SIZE] - 1
  if self[PUTTING] > 0 then wake_next(self, PUTTERS) end
  return item
end

--- queue:items() -> iterator
--
-- `for item in queue:items() do` gets until the queue is shut down and empty.
-- A nil item in it is an error: use `get`. `task_done` is the body's to call.
function Queue:items()
  return function()
    local ok, item = pcall(await, self:get())
    if ok then
      if item == nil then
        error("a nil item ends no loop over queue:items(): use get", 2)
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
function Queue:qsize() return self[SIZE] end
function Queue:empty() return self[SIZE] == 0 end
function Queue:full() return self[SIZE] >= self.maxsize end

--- queue:task_done()
--
-- Says that an item that was got has been dealt with. *Raises* if that was
-- said of all already.
function Queue:task_done()
  if self[UNFINISHED] <= 0 then
    error("task_done was called more often than there were items", 2)
  end
  self[UNFINISHED] = self[UNFINISHED] - 1
  if self[UNFINISHED] == 0 then wake_all(self, JOINERS) end
end

--- async queue:join()
--
-- Waits until `task_done` was said of every item put.
async function Queue:join()
  while self[UNFINISHED] > 0 do wait_in(self, JOINERS, is_finished) end
end

--- queue:shutdown([immediate = false])
--
-- From now on `put` raises QueueShutDown, and so does `get` when the queue is
-- empty; who waits is told. `immediate` also throws the items away, and counts
-- them as done.
function Queue:shutdown(immediate)
  self.is_shutdown = true
  self[LIMIT] = -1
  if immediate then
    while self[SIZE] > 0 do
      self:_get_item()
      self[SIZE] = self[SIZE] - 1
      if self[UNFINISHED] > 0 then self[UNFINISHED] = self[UNFINISHED] - 1 end
    end
    if self[UNFINISHED] == 0 then wake_all(self, JOINERS) end
  end
  wake_all(self, GETTERS)
  wake_all(self, PUTTERS)
end

local waiters = {get = GETTING, put = PUTTING, join = JOINING}
local reasons = {get = "empty", put = "full"}

-- For dump.lua.
function Queue:_describe(method)
  local waiting = waiters[method]
  return waiting and ("%s, %d waiting"):format(reasons[method] or
    self[UNFINISHED] .. " not done", self[waiting])
end

-- == Other orders =======================================================

local function derive(name)
  local class = {__name = name}
  for key, value in pairs(Queue) do
    if class[key] == nil then class[key] = value end
  end
  class.__index = class
  async function class:put(item)
    wait_for_room(self)
    self:put_nowait(item)
  end
  async function class:get()
    wait_for_item(self)
    return self:get_nowait()
  end
  return class
end

local Stack = derive("LifoQueue")

function Stack._put_item(self, item) self[ITEMS][self[SIZE] + 1] = item end

function Stack._get_item(self)
  local items, n = self[ITEMS], self[SIZE]
  local item = items[n]
  items[n] = nil
  return item
end

-- A binary heap; the smallest by `less` comes first.
local Heap = derive("PriorityQueue")

function Heap._put_item(self, item)
  local items, less, i = self[ITEMS], self.less, self[SIZE] + 1
  while i > 1 do
    local up = i // 2
    if not less(item, items[up]) then break end
    items[i] = items[up]
    i = up
  end
  items[i] = item
end

function Heap._get_item(self)
  local items, less, n = self[ITEMS], self.less, self[SIZE]
  local top, item = items[1], items[n]
  items[n] = nil
  n = n - 1
  if n == 0 then return top end
  local i = 1
  while true do
    local down = 2 * i
    if down > n then break end
    if down < n and less(items[down + 1], items[down]) then down = down + 1 end
    if not less(items[down], item) then break end
    items[i] = items[down]
    i = down
  end
  items[i] = item
  return top
end

-- == Making =============================================================

local function new(maxsize, class)
  if maxsize == nil then maxsize = 0 end
  if type(maxsize) ~= "number" then
    asyncio._misuse(("%s needs a number as its size, not a %s value")
      :format(class.__name, type(maxsize)))
  end
  local limit = maxsize > 0 and maxsize or math.huge
  local places = 4
  while places < limit and places < 16 do places = places * 2 end
  return setmetatable({
    0, limit, new_ring(class == Queue and places or 0), 0, places - 1, 0,
    {first = 1, last = 0}, {first = 1, last = 0}, {first = 1, last = 0},
    0, 0, 0,
    put = class.put, get = class.get, maxsize = limit,
  }, class)
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
                       "%s value"):format(type(less)))
    end
    local queue = new(maxsize, Heap)
    queue.less = less or plain_less
    return queue
  end,
}
