-- queues.lua - Queue, PriorityQueue and LifoQueue.
--
-- CPython 3.13's queues. A get of a queue that has items and a put into one
-- that has room do not suspend; those of the plain queue are written out,
-- because programs spend their time there. nil is an item like any other.

local asyncio = asyncio
local line, wait, let_go = asyncio._line, asyncio._wait_in, asyncio._let_go
local check_await = asyncio._check_await

-- Where a queue keeps its state: Lua finds a small integer faster than a
-- name. PUT, GOT and DONE count what was put, got and dealt with since the
-- beginning. LIMIT is the size from which a put has more to do than to keep
-- the item.
local PUT <const>, GOT <const>, LIMIT <const> = 1, 2, 3
local ITEMS <const>, MASK <const>, DONE <const> = 4, 5, 6
local GETTERS <const>, PUTTERS <const>, JOINERS <const> = 7, 8, 9
local GETTING <const>, PUTTING <const>, JOINING <const> = 10, 11, 12

local function stopped()
  error(asyncio.QueueShutDown.new("the queue was shut down"), 0)
end

-- == Who waits ==========================================================

-- In self[list] is a line of tasks, in self[list + 3] how many are in it.

local function wake_next(self, list)
  self[list + 3] = self[list + 3] - 1
  let_go(self[list])
end

local function wake_all(self, list)
  while self[list + 3] > 0 do wake_next(self, list) end
end

-- Waits in a line; a wake-up that comes together with a cancellation is
-- handed on if `can_go(self)`.
local function wait_in(self, list, can_go)
  check_await()
  self[list + 3] = self[list + 3] + 1
  local ok, e, woken = wait(self[list])
  if ok then return end
  if not woken then
    self[list + 3] = self[list + 3] - 1
  elseif can_go(self) and self[list + 3] > 0 then
    wake_next(self, list)
  end
  error(e, 0)
end

local function size_of(self) return self[PUT] - self[GOT] end
local function has_room(self)
  return not self.is_shutdown and size_of(self) < self.maxsize
end
local function has_items(self) return self[PUT] > self[GOT] end
local function is_finished(self) return self[PUT] == self[DONE] end

local function wait_for_room(self)
  while not has_room(self) do
    if self.is_shutdown then stopped() end
    wait_in(self, PUTTERS, has_room)
  end
end

local function wait_for_item(self)
  while self[PUT] == self[GOT] do
    if self.is_shutdown then stopped() end
    wait_in(self, GETTERS, has_items)
  end
end

-- == Queue ==============================================================

-- The items are a ring of MASK + 1 places, a power of two, counted from 0:
-- item number n is in place n & MASK.
local Queue = {__name = "Queue"}
Queue.__index = Queue

local function new_ring(places)
  local ring = {}
  for i = 1, places - 1 do ring[i] = false end
  ring[0] = false
  return ring
end

-- Makes room for twice as many items, and tells put of it.
local function grow(self)
  local old, mask = self[ITEMS], self[MASK]
  local ring, new_mask = new_ring(2 * mask + 2), 2 * mask + 1
  for n = self[GOT], self[PUT] - 1 do ring[n & new_mask] = old[n & mask] end
  self[ITEMS], self[MASK] = ring, new_mask
  if not self.is_shutdown then
    self[LIMIT] = math.min(self.maxsize, new_mask + 1)
  end
end

--- async queue:put(item)
--
-- Waits while the queue is full. *Raises* QueueShutDown.
async function Queue:put(item)
  local n = self[PUT]
  if n - self[GOT] >= self[LIMIT] then
    wait_for_room(self)
    n = self[PUT]
    if n - self[GOT] > self[MASK] then grow(self) end
  end
  self[ITEMS][n & self[MASK]] = item
  self[PUT] = n + 1
  if self[GETTING] > 0 then wake_next(self, GETTERS) end
end

--- async queue:get() -> item
--
-- Waits while the queue is empty. *Raises* QueueShutDown.
async function Queue:get()
  local n = self[GOT]
  if n == self[PUT] then
    wait_for_item(self)
    n = self[GOT]
  end
  local items, place = self[ITEMS], n & self[MASK]
  local item = items[place]
  items[place] = false
  self[GOT] = n + 1
  if self[PUTTING] > 0 then wake_next(self, PUTTERS) end
  return item
end

-- _put_item and _get_item only keep and give; they do not count.

function Queue._put_item(self, item)
  if size_of(self) > self[MASK] then grow(self) end
  self[ITEMS][self[PUT] & self[MASK]] = item
end

function Queue._get_item(self)
  local items, place = self[ITEMS], self[GOT] & self[MASK]
  local item = items[place]
  items[place] = false
  return item
end

--- queue:put_nowait(item)
--
-- Does not wait but *raises* QueueFull; or QueueShutDown.
function Queue:put_nowait(item)
  if not has_room(self) then
    if self.is_shutdown then stopped() end
    error(asyncio.QueueFull.new("the queue is full"), 0)
  end
  self:_put_item(item)
  self[PUT] = self[PUT] + 1
  if self[GETTING] > 0 then wake_next(self, GETTERS) end
end

--- queue:get_nowait() -> item
--
-- Does not wait but *raises* QueueEmpty; or QueueShutDown.
function Queue:get_nowait()
  if not has_items(self) then
    if self.is_shutdown then stopped() end
    error(asyncio.QueueEmpty.new("the queue is empty"), 0)
  end
  local item = self:_get_item()
  self[GOT] = self[GOT] + 1
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
function Queue:qsize() return size_of(self) end
function Queue:empty() return not has_items(self) end
function Queue:full() return size_of(self) >= self.maxsize end

--- queue:task_done()
--
-- Says that an item that was got has been dealt with. *Raises* if that was
-- said of all already.
function Queue:task_done()
  if is_finished(self) then
    error("task_done was called more often than there were items", 2)
  end
  self[DONE] = self[DONE] + 1
  if is_finished(self) then wake_all(self, JOINERS) end
end

--- async queue:join()
--
-- Waits until `task_done` was said of every item put.
async function Queue:join()
  while not is_finished(self) do wait_in(self, JOINERS, is_finished) end
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
    while has_items(self) do
      self:_get_item()
      self[GOT] = self[GOT] + 1
      if not is_finished(self) then self[DONE] = self[DONE] + 1 end
    end
    if is_finished(self) then wake_all(self, JOINERS) end
  end
  wake_all(self, GETTERS)
  wake_all(self, PUTTERS)
end

local waiters = {get = GETTING, put = PUTTING, join = JOINING}
local reasons = {get = "empty", put = "full"}

-- "Queue (3 items)"
function Queue:__tostring()
  return ("%s (%d item%s)"):format(getmetatable(self).__name, self[SIZE],
                                   self[SIZE] == 1 and "" or "s")
end

-- For dump.lua.
function Queue:_describe(method)
  local waiting = waiters[method]
  return waiting and ("%s, %d waiting"):format(reasons[method] or
    self[PUT] - self[DONE] .. " not done", self[waiting])
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

function Stack._put_item(self, item) self[ITEMS][size_of(self) + 1] = item end

function Stack._get_item(self)
  local items, n = self[ITEMS], size_of(self)
  local item = items[n]
  items[n] = nil
  return item
end

-- A binary heap; the smallest by `less` comes first.
local Heap = derive("PriorityQueue")

function Heap._put_item(self, item)
  local items, less, i = self[ITEMS], self.less, size_of(self) + 1
  while i > 1 do
    local up = i // 2
    if not less(item, items[up]) then break end
    items[i] = items[up]
    i = up
  end
  items[i] = item
end

function Heap._get_item(self)
  local items, less, n = self[ITEMS], self.less, size_of(self)
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
  local plain = class == Queue
  return setmetatable({
    0, 0, plain and math.min(limit, places) or limit,
    plain and new_ring(places) or {}, places - 1, 0,
    line(), line(), line(), 0, 0, 0,
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
