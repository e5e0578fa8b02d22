-- locks.lua - Lock, Event, Condition, Semaphore, BoundedSemaphore, Barrier.
--
-- CPython's, waiter for waiter: first come, first served, and nothing that
-- was handed over is lost when its receiver is cancelled. What acquire gives
-- is the object itself, which releases at the end of a <close> scope.

local asyncio = asyncio
local Future, catch = asyncio.Future, asyncio.catch
local attempt = asyncio._attempt

-- == Waiters ============================================================

-- A queue of futures from which any can be taken out in constant time.
local function waiters()
  return {first = 1, last = 0}
end

local function enqueue(list)
  local f, i = Future(), list.last + 1
  list.last = i
  list[i] = f
  return f, i
end

local function take_out(list, i)
  list[i] = nil
  local first, last = list.first, list.last
  while first <= last and list[first] == nil do first = first + 1 end
  if first > last then first, last = 1, 0 end
  list.first, list.last = first, last
end

-- The first that is still waiting, or nil.
local function first_pending(list)
  for i = list.first, list.last do
    local f = list[i]
    if f and not f:done() then return f end
  end
end

-- Whether somebody waits who was not cancelled.
local function anybody(list)
  for i = list.first, list.last do
    local f = list[i]
    if f and not f:cancelled() then return true end
  end
  return false
end

local function class(name, methods)
  methods.__index = methods
  methods.__name = name
  return methods
end

-- == Lock ===============================================================

local Lock = class("Lock", {})

function Lock:locked() return self.held end

local function wake_lock(self)
  local f = self.waiters[self.waiters.first]
  if f and not f:done() then f:set_result() end
end

--- await lock:acquire() -> the lock, which a <close> scope releases
async function Lock:acquire()
  if not self.held and not anybody(self.waiters) then
    self.held = true
    return self
  end
  local f, i = enqueue(self.waiters)
  local ok, e = attempt(f)
  take_out(self.waiters, i)
  if not ok then
    if not self.held then wake_lock(self) end
    error(e, 0)
  end
  self.held = true
  return self
end

--- lock:release(): an error if it is not held
function Lock:release()
  if not self.held then error("the lock is not acquired", 2) end
  self.held = false
  wake_lock(self)
end

function Lock:__close() self:release() end

local function new_lock()
  return setmetatable({held = false, waiters = waiters()}, Lock)
end

-- == Event ==============================================================

local Event = class("Event", {})

function Event:is_set() return self.value end
function Event:clear() self.value = false end

function Event:set()
  if self.value then return end
  self.value = true
  local list = self.waiters
  for i = list.first, list.last do
    local f = list[i]
    if f and not f:done() then f:set_result(true) end
  end
end

--- await event:wait() -> true
async function Event:wait()
  if self.value then return true end
  local f, i = enqueue(self.waiters)
  local ok, e = attempt(f)
  take_out(self.waiters, i)
  if not ok then error(e, 0) end
  return true
end

local function new_event()
  return setmetatable({value = false, waiters = waiters()}, Event)
end

-- == Condition ==========================================================

local Condition = class("Condition", {})

function Condition:locked() return self.lock:locked() end
function Condition:release() self.lock:release() end
function Condition:__close() self.lock:release() end

async function Condition:acquire()
  await self.lock:acquire()
  return self
end

local function notify(self, n)
  local list = self.waiters
  for i = list.first, list.last do
    if n <= 0 then return end
    local f = list[i]
    if f and not f:done() then
      n = n - 1
      f:set_result()
    end
  end
end

-- Takes the lock back, however often that is cancelled; gives the last
-- cancellation.
local function reacquire(self)
  local cancelled
  while true do
    local ok, e = catch(await, self.lock:acquire())
    if ok then return cancelled end
    cancelled = e
  end
end

--- await condition:wait() -> true; the lock must be held
async function Condition:wait()
  if not self:locked() then
    error("cannot wait on a condition whose lock is not acquired", 2)
  end
  self:release()
  local f, i = enqueue(self.waiters)
  local ok, e = attempt(f)
  take_out(self.waiters, i)
  local cancelled = reacquire(self)
  if cancelled ~= nil then ok, e = false, cancelled end
  if not ok then
    notify(self, 1) -- ours may have been meant for somebody
    error(e, 0)
  end
  return true
end

--- await condition:wait_for(predicate) -> what the predicate gave
async function Condition:wait_for(predicate)
  local result = predicate()
  while not result do
    await self:wait()
    result = predicate()
  end
  return result
end

function Condition:notify(n)
  if not self:locked() then
    error("cannot notify on a condition whose lock is not acquired", 2)
  end
  notify(self, n or 1)
end

function Condition:notify_all()
  if not self:locked() then
    error("cannot notify on a condition whose lock is not acquired", 2)
  end
  notify(self, math.huge)
end

local function new_condition(lock)
  if lock ~= nil and getmetatable(lock) ~= Lock then
    error(("Condition needs a Lock, not a %s"):format(type(lock)), 2)
  end
  return setmetatable({lock = lock or new_lock(), waiters = waiters()},
                      Condition)
end

-- == Semaphore ==========================================================

local Semaphore = class("Semaphore", {})

function Semaphore:locked()
  return self.value == 0 or anybody(self.waiters)
end

local function wake_semaphore(self)
  local f = first_pending(self.waiters)
  if f == nil then return false end
  self.value = self.value - 1
  f:set_result()
  return true
end

--- await semaphore:acquire() -> the semaphore, for a <close> scope
async function Semaphore:acquire()
  if not self:locked() then
    self.value = self.value - 1
    return self
  end
  local f, i = enqueue(self.waiters)
  local ok, e = attempt(f)
  take_out(self.waiters, i)
  if not ok and f:done() and not f:cancelled() then
    self.value = self.value + 1 -- it had been given a permit
  end
  while self.value > 0 and wake_semaphore(self) do end
  if not ok then error(e, 0) end
  return self
end

function Semaphore:release()
  if self.bound and self.value >= self.bound then
    error("the BoundedSemaphore is released too many times", 2)
  end
  self.value = self.value + 1
  wake_semaphore(self)
end

function Semaphore:__close() self:release() end

local function new_semaphore(value, bounded, name)
  if value == nil then value = 1 end
  if math.type(value) ~= "integer" or value < 0 then
    error(("%s needs a number of permits, 0 or more"):format(name), 3)
  end
  return setmetatable({value = value, bound = bounded and value or nil,
                       waiters = waiters()}, Semaphore)
end

-- == Barrier ============================================================

local Barrier = class("Barrier", {})

function Barrier:parties() return self.size end
function Barrier:broken() return self.state == "broken" end

function Barrier:n_waiting()
  return self.state == "filling" and self.count or 0
end

local function broken()
  error(asyncio.BrokenBarrierError.new("the barrier was broken"), 0)
end

-- Lets go whoever waits for the state to change.
local function changed(self)
  local event = self.change
  self.change = new_event()
  event:set()
end

-- Lets the barrier fill again when the last has left.
local function leave(self)
  self.count = self.count - 1
  if self.count == 0 then
    if self.state == "resetting" or self.state == "draining" then
      self.state = "filling"
    end
    changed(self)
  end
end

--- await barrier:wait() -> 0 to parties - 1, different for each
async function Barrier:wait()
  while self.state == "draining" or self.state == "resetting" do
    await self.change:wait()
  end
  if self.state == "broken" then broken() end
  local index = self.count
  self.count = index + 1
  local _ <close> = asyncio.defer(function() leave(self) end)
  if index + 1 == self.size then
    self.state = "draining"
    changed(self)
  else
    while self.state == "filling" do await self.change:wait() end
    if self.state == "broken" or self.state == "resetting" then broken() end
  end
  return index
end

--- await barrier:reset(): who waits gets a BrokenBarrierError
async function Barrier:reset()
  if self.count > 0 then
    if self.state ~= "resetting" then self.state = "resetting" end
  else
    self.state = "filling"
  end
  changed(self)
end

--- await barrier:abort(): the same, and the barrier stays broken
async function Barrier:abort()
  self.state = "broken"
  changed(self)
end

local function new_barrier(parties)
  if math.type(parties) ~= "integer" or parties < 1 then
    error("Barrier needs a number of parties, 1 or more", 2)
  end
  return setmetatable({size = parties, count = 0, state = "filling",
                       change = new_event()}, Barrier)
end

return {
  Lock = new_lock,
  Event = new_event,
  Condition = new_condition,
  Semaphore = function(n) return new_semaphore(n, false, "Semaphore") end,
  BoundedSemaphore = function(n)
    return new_semaphore(n, true, "BoundedSemaphore")
  end,
  Barrier = new_barrier,
}
