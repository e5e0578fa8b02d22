-- queues.lua - Queue, PriorityQueue and LifoQueue.
--
-- CPython 3.13's queues. A get of a queue that has items and a put into one
-- that has room do not suspend. Items are kept in a ring, a stack or a heap;
-- nil is an item like any other.

local asyncio = asyncio
local Future, catch = asyncio.Future, asyncio.catch

local Queue = {}
Queue.__index = Queue
Queue.__name = "Queue"

-- == Keeping items ======================================================

-- Plain queue: a list with two ends.
local fifo = {}

function fifo.put(self, item)
  local last = self.last + 1
  self.last = last
  self[last] = item
  self.size = self.size + 1
end

function fifo.get(self)
  local first = self.first
  local item = self[first]
  self[first] = nil
  self.first = first + 1
  self.size = self.size - 1
  return item
end

local lifo = {}

function lifo.put(self, item)
  local n = self.size + 1
  self.size = n
  self[n] = item
end

function lifo.get(self)
  local n = self.size
  local item = self[n]
  self[n] = nil
  self.size = n - 1
  return item
end

-- Binary heap; the smallest by `less` comes first.
local heap = {}

function heap.put(self, item)
  local less, i = self.less, self.size + 1
  self.size = i
  while i > 1 do
    local up = i // 2
    if not less(item, self[up]) then break end
    self[i] = self[up]
    i = up
  end
  self[i] = item
end

function heap.get(self)
  local less, n, top = self.less, self.size, self[1]
  local item = self[n]
  self[n] = nil
  n = n - 1
  self.size = n
  if n == 0 then return top end
  local i = 1
  while true do
    local down = 2 * i
    if down > n then break end
    if down < n and less(self[down + 1], self[down]) then down = down + 1 end
    if not less(self[down], item) then break end
    self[i] = self[down]
    i = down
  end
  self[i] = item
  return top
end

-- == Who waits ==========================================================

local function enqueue(list)
  local f, i = Future(), list.last + 1
  list.last = i
  list[i] = f
  return f, i
end

local function wake_next(list)
  while list.first <= list.last do
    local f = list[list.first]
    list[list.first] = nil
    list.first = list.first + 1
    if f and not f:done() then
      f:set_result()
      return
    end
  end
end

local function wake_all(list)
  while list.first <= list.last do wake_next(list) end
end

local function stopped(message)
  error(asyncio.QueueShutDown.new(message), 0)
end

-- == Getting and putting ================================================

--- queue:put_nowait(item): raises QueueFull, QueueShutDown
function Queue:put_nowait(item)
  if self.is_shutdown then stopped("the queue was shut down") end
  if self.size >= self.maxsize then
    error(asyncio.QueueFull.new("the queue is full"), 0)
  end
  self.put_item(self, item)
  self.unfinished = self.unfinished + 1
  local getters = self.getters
  if getters.first <= getters.last then wake_next(getters) end
end

--- queue:get_nowait() -> item; raises QueueEmpty, QueueShutDown
function Queue:get_nowait()
  if self.size == 0 then
    if self.is_shutdown then stopped("the queue was shut down") end
    error(asyncio.QueueEmpty.new("the queue is empty"), 0)
  end
  local item = self.get_item(self)
  local putters = self.putters
  if putters.first <= putters.last then wake_next(putters) end
  return item
end

-- Waits in `list` until `blocked` may have changed; a wake-up that comes
-- together with a cancellation is handed on if `can_go(self)`.
local function wait_in(self, list, can_go)
  local f, i = enqueue(list)
  local ok, e = catch(await, f)
  if ok then return end
  if list[i] == f then list[i] = false end
  if can_go(self) and not f:cancelled() then wake_next(list) end
  error(e, 0)
end

local function has_room(self) return self.size < self.maxsize end
local function has_items(self) return self.size > 0 end

--- await queue:put(item): waits for room; raises QueueShutDown
async function Queue:put(item)
  while self.size >= self.maxsize do
    if self.is_shutdown then stopped("the queue was shut down") end
    wait_in(self, self.putters, has_room)
  end
  if self.is_shutdown then stopped("the queue was shut down") end
  self.put_item(self, item)
  self.unfinished = self.unfinished + 1
  local getters = self.getters
  if getters.first <= getters.last then wake_next(getters) end
end

--- await queue:get() -> item: waits for one; raises QueueShutDown
async function Queue:get()
  while self.size == 0 do
    if self.is_shutdown then stopped("the queue was shut down") end
    wait_in(self, self.getters, has_items)
  end
  local item = self.get_item(self)
  local putters = self.putters
  if putters.first <= putters.last then wake_next(putters) end
  return item
end

--- for item in queue:items() do: ends when the queue is shut down and empty
--
-- Stands for get, so task_done is the body's to call. An error if an item is
-- nil, which would end the loop: use get for those.
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

function Queue:qsize() return self.size end
function Queue:empty() return self.size == 0 end
function Queue:full() return self.size >= self.maxsize end

--- queue:task_done(): one item that was got is finished
function Queue:task_done()
  if self.unfinished <= 0 then
    error("task_done was called more often than there were items", 2)
  end
  self.unfinished = self.unfinished - 1
  if self.unfinished == 0 then wake_all(self.joiners) end
end

--- await queue:join(): until every item put has been finished
async function Queue:join()
  while self.unfinished > 0 do
    local f, i = enqueue(self.joiners)
    local ok, e = catch(await, f)
    if not ok then
      if self.joiners[i] == f then self.joiners[i] = false end
      error(e, 0)
    end
  end
end

--- queue:shutdown([immediate]): no more puts; gets until it is empty
function Queue:shutdown(immediate)
  self.is_shutdown = true
  if immediate then
    while self.size > 0 do
      self.get_item(self)
      if self.unfinished > 0 then self.unfinished = self.unfinished - 1 end
    end
    if self.unfinished == 0 then wake_all(self.joiners) end
  end
  wake_all(self.getters)
  wake_all(self.putters)
end

-- == Classes ============================================================

local function waiters() return {first = 1, last = 0} end

local function new(maxsize, kind, name)
  if maxsize == nil then maxsize = 0 end
  if type(maxsize) ~= "number" then
    error(("%s needs a number as its size, not a %s value")
      :format(name, type(maxsize)), 3)
  end
  return setmetatable({
    maxsize = maxsize > 0 and maxsize or math.huge,
    size = 0, first = 1, last = 0, unfinished = 0, is_shutdown = false,
    put_item = kind.put, get_item = kind.get,
    getters = waiters(), putters = waiters(), joiners = waiters(),
  }, Queue)
end

local function plain_less(a, b) return a < b end

return {
  Queue = function(maxsize) return new(maxsize, fifo, "Queue") end,
  LifoQueue = function(maxsize) return new(maxsize, lifo, "LifoQueue") end,
  PriorityQueue = function(maxsize, less)
    if less ~= nil and type(less) ~= "function" then
      error(("PriorityQueue needs a function that compares, not a %s value")
        :format(type(less)), 2)
    end
    local queue = new(maxsize, heap, "PriorityQueue")
    queue.less = less or plain_less
    return queue
  end,
}
