-- queues.lua - Queue, PriorityQueue and LifoQueue.
--
-- CPython 3.13's queues. A get of a queue that has items and a put into one
-- that has room do not suspend; those of the plain queue are written out,
-- because programs spend their time there. nil is an item like any other.

local asyncio = asyncio
local Future, attempt, renew = asyncio.Future, asyncio._attempt,
  asyncio._renew

local function stopped()
  error(asyncio.QueueShutDown.new("the queue was shut down"), 0)
end

-- == Who waits ==========================================================

-- A list of futures with holes (false); `spare` is one to use again.
local function waiters() return {first = 1, last = 0} end

local function wake_next(list)
  local first, last = list.first, list.last
  while first <= last do
    local f = list[first]
    list[first] = nil
    first = first + 1
    if f and not f:done() then
      list.first = first
      f:set_result()
      return
    end
  end
  list.first = first
end

local function wake_all(list)
  while list.first <= list.last do wake_next(list) end
end

-- Waits in `list`; a wake-up that comes together with a cancellation is
-- handed on if `can_go(self)`.
local function wait_in(self, list, can_go)
  local f, i = list.spare, list.last + 1
  if f then
    list.spare = nil
    renew(f)
  else
    f = Future()
  end
  list.last = i
  list[i] = f
  local ok, e = attempt(f)
  if ok then
    list.spare = f
    return
  end
  if list[i] == f then list[i] = false end
  if can_go(self) and not f:cancelled() then wake_next(list) end
  error(e, 0)
end

local function has_room(self) return self.size < self.maxsize end
local function has_items(self) return self.size > 0 end
local function is_finished(self) return self.unfinished == 0 end

local function wait_for_room(self)
  while self.size >= self.maxsize do
    if self.is_shutdown then stopped() end
    wait_in(self, self.putters, has_room)
  end
  if self.is_shutdown then stopped() end
end

local function wait_for_item(self)
  while self.size == 0 do
    if self.is_shutdown then stopped() end
    wait_in(self, self.getters, has_items)
  end
end

-- == Queue ==============================================================

-- The items are self[first] to self[last].
local Queue = {__name = "Queue"}
Queue.__index = Queue

--- await queue:put(item): waits for room; raises QueueShutDown
async function Queue:put(item)
  local size = self.size
  if size >= self.maxsize or self.is_shutdown then
    wait_for_room(self)
    size = self.size
  end
  local last = self.last + 1
  self.last = last
  self[last] = item
  self.size = size + 1
  self.unfinished = self.unfinished + 1
  local getters = self.getters
  if getters.first <= getters.last then wake_next(getters) end
end

--- await queue:get() -> item: waits for one; raises QueueShutDown
async function Queue:get()
  if self.size == 0 then wait_for_item(self) end
  local first = self.first
  local item = self[first]
  self[first] = nil
  self.first = first + 1
  self.size = self.size - 1
  local putters = self.putters
  if putters.first <= putters.last then wake_next(putters) end
  return item
end

function Queue.put_item(self, item)
  local last = self.last + 1
  self.last = last
  self[last] = item
end

function Queue.get_item(self)
  local first = self.first
  local item = self[first]
  self[first] = nil
  self.first = first + 1
  return item
end

--- queue:put_nowait(item): raises QueueFull, QueueShutDown
function Queue:put_nowait(item)
  if self.is_shutdown then stopped() end
  if self.size >= self.maxsize then
    error(asyncio.QueueFull.new("the queue is full"), 0)
  end
  self:put_item(item)
  self.size = self.size + 1
  self.unfinished = self.unfinished + 1
  local getters = self.getters
  if getters.first <= getters.last then wake_next(getters) end
end

--- queue:get_nowait() -> item; raises QueueEmpty, QueueShutDown
function Queue:get_nowait()
  if self.size == 0 then
    if self.is_shutdown then stopped() end
    error(asyncio.QueueEmpty.new("the queue is empty"), 0)
  end
  local item = self:get_item()
  self.size = self.size - 1
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
  while self.unfinished > 0 do wait_in(self, self.joiners, is_finished) end
end

--- queue:shutdown([immediate]): no more puts; gets until it is empty
function Queue:shutdown(immediate)
  self.is_shutdown = true
  if immediate then
    while self.size > 0 do
      self:get_item()
      self.size = self.size - 1
      if self.unfinished > 0 then self.unfinished = self.unfinished - 1 end
    end
    if self.unfinished == 0 then wake_all(self.joiners) end
  end
  wake_all(self.getters)
  wake_all(self.putters)
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

function Stack.put_item(self, item) self[self.size + 1] = item end

function Stack.get_item(self)
  local n = self.size
  local item = self[n]
  self[n] = nil
  return item
end

-- A binary heap; the smallest by `less` comes first.
local Heap = derive("PriorityQueue")

function Heap.put_item(self, item)
  local less, i = self.less, self.size + 1
  while i > 1 do
    local up = i // 2
    if not less(item, self[up]) then break end
    self[i] = self[up]
    i = up
  end
  self[i] = item
end

function Heap.get_item(self)
  local less, n, top = self.less, self.size, self[1]
  local item = self[n]
  self[n] = nil
  n = n - 1
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

-- == Making =============================================================

local function new(maxsize, class)
  if maxsize == nil then maxsize = 0 end
  if type(maxsize) ~= "number" then
    error(("%s needs a number as its size, not a %s value")
      :format(class.__name, type(maxsize)), 3)
  end
  return setmetatable({
    maxsize = maxsize > 0 and maxsize or math.huge,
    size = 0, first = 1, last = 0, unfinished = 0, is_shutdown = false,
    getters = waiters(), putters = waiters(), joiners = waiters(),
  }, class)
end

local function plain_less(a, b) return a < b end

return {
  Queue = function(maxsize) return new(maxsize, Queue) end,
  LifoQueue = function(maxsize) return new(maxsize, Stack) end,
  PriorityQueue = function(maxsize, less)
    if less ~= nil and type(less) ~= "function" then
      error(("PriorityQueue needs a function that compares, not a %s value")
        :format(type(less)), 2)
    end
    local queue = new(maxsize, Heap)
    queue.less = less or plain_less
    return queue
  end,
}
