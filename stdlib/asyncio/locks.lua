-- locks.lua - Lock, Event, Condition, Semaphore, BoundedSemaphore, Barrier.
--
-- CPython's, waiter for waiter: first come, first served, and nothing that
-- was handed over is lost when its receiver is cancelled. What acquire gives
-- is the object itself, which releases at the end of a <close> scope.

local asyncio = asyncio
local typename = asyncio._typename
local Future, catch = asyncio.Future, asyncio.catch
local attempt, task_id = asyncio._attempt, asyncio._task_id

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

-- How many wait, as text; for dump.lua.
local function count(list)
  local n = 0
  for i = list.first, list.last do
    local f = list[i]
    if f and not f:done() then n = n + 1 end
  end
  return n .. " waiting"
end

-- n as an integer, if it is a whole number and not less than `least`.
local function whole(n, least)
  local i = type(n) == "number" and math.tointeger(n)
  return i and i >= least and i or nil
end

local function class(name, methods)
  methods.__index = methods
  methods.__name = name
  return methods
end

-- == Lock ===============================================================

local Lock = class("Lock", {})

--- lock:locked() -> boolean
function Lock:locked() return self.held ~= false end

local function wake_lock(self)
  local f = self.waiters[self.waiters.first]
  if f and not f:done() then f:set_result() end
end

--- async lock:acquire() -> lock
--
-- Waits until the lock is free, and takes it. What it gives is for `<close>`.
async function Lock:acquire()
  if not self.held and not anybody(self.waiters) then
    self.held = task_id()
    return self
  end
  local f, i = enqueue(self.waiters)
  local ok, e = attempt(f)
  take_out(self.waiters, i)
  if not ok then
    if not self.held then wake_lock(self) end
    error(e, 0)
  end
  self.held = task_id()
  return self
end

--- lock:release()
--
-- Hands it to who has waited longest. *Raises* if it is not held. Who releases
-- and wants it again at once stands behind those waiting.
function Lock:release()
  if not self.held then asyncio._misuse("the lock is not acquired") end
  self.held = false
  wake_lock(self)
end

function Lock:__close() self:release() end

function Lock:__tostring()
  return self.held and "Lock (held)" or "Lock (free)"
end

-- `held` is the number of the task, or false.
function Lock:_describe(_, name_of)
  local holder = name_of(self.held)
  return ("%s, %s"):format(holder and ("held by '%s'"):format(holder)
    or self.held and "held by nobody that runs" or "free",
    count(self.waiters)), self.held or nil
end

--- asyncio.Lock() -> lock
--
-- One task at a time.
local function new_lock()
  return setmetatable({held = false, waiters = waiters()}, Lock)
end

-- == Event ==============================================================

local Event = class("Event", {})

--- event:is_set() -> boolean
function Event:is_set() return self.value end
--- event:clear()
--
-- Makes it not set: who comes from now on waits.
function Event:clear() self.value = false end

--- event:set()
--
-- Wakes all; who comes later does not wait.
function Event:set()
  if self.value then return end
  self.value = true
  local list = self.waiters
  for i = list.first, list.last do
    local f = list[i]
    if f and not f:done() then f:set_result(true) end
  end
end

--- async event:wait() -> true
--
-- Waits until it is set.
async function Event:wait()
  if self.value then return true end
  local f, i = enqueue(self.waiters)
  local ok, e = attempt(f)
  take_out(self.waiters, i)
  if not ok then error(e, 0) end
  return true
end

--- asyncio.Event() -> event
--
-- Something that happens once, until it is cleared.
function Event:__tostring()
  return self.value and "Event (set)" or "Event (not set)"
end

function Event:_describe() return count(self.waiters) end

local function new_event()
  return setmetatable({value = false, waiters = waiters()}, Event)
end

-- == Condition ==========================================================

local Condition = class("Condition", {})

function Condition:locked() return self.lock:locked() end
function Condition:release() self.lock:release() end
function Condition:__close() self.lock:release() end

--- async condition:acquire() -> condition
--- condition:release()
--- condition:locked() -> boolean
--
-- Those of its lock.
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

--- async condition:wait() -> true
--
-- Releases the lock, waits to be notified, takes the lock again, even when it
-- is cancelled meanwhile.
async function Condition:wait()
  if not self:locked() then
    asyncio._misuse("cannot wait on a condition whose lock is not acquired")
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

--- async condition:wait_for(predicate) -> what the predicate gave
--
-- Waits until `predicate()` gives a true value, tried at once and after each
-- notification.
async function Condition:wait_for(predicate)
  if type(predicate) ~= "function" then
    asyncio._misuse(("wait_for needs a function, not a %s value")
      :format(typename(predicate)))
  end
  local result = predicate()
  while not result do
    await self:wait()
    result = predicate()
  end
  return result
end

--- condition:notify([n = 1]), condition:notify_all()
--
-- Wake so many of those that wait, or all, after the lock is released.
function Condition:notify(n)
  if n ~= nil and type(n) ~= "number" then
    asyncio._misuse(("notify needs a number of tasks, not a %s value")
      :format(typename(n)))
  elseif not self:locked() then
    asyncio._misuse("cannot notify on a condition whose lock is not acquired")
  end
  notify(self, n or 1)
end

function Condition:notify_all()
  if not self:locked() then
    asyncio._misuse("cannot notify on a condition whose lock is not acquired")
  end
  notify(self, math.huge)
end

function Condition:__tostring()
  return ("Condition (%s)"):format(count(self.waiters))
end

function Condition:_describe(method, name_of)
  if method == "acquire" then return self.lock:_describe(method, name_of) end
  return count(self.waiters)
end

--- asyncio.Condition([lock]) -> condition
--
-- A lock (its own, or the given one) and the news that something has changed.
-- `wait`, `wait_for`, `notify` and `notify_all` raise if the lock is not held.
local function new_condition(lock)
  if lock ~= nil and getmetatable(lock) ~= Lock then
    asyncio._misuse(("Condition needs a Lock, not a %s"):format(typename(lock)))
  end
  return setmetatable({lock = lock or new_lock(), waiters = waiters()},
                      Condition)
end

-- == Semaphore ==========================================================

local Semaphore = class("Semaphore", {})

--- semaphore:locked() -> boolean
--
-- Whether acquire would have to wait.
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

--- async semaphore:acquire() -> semaphore
--
-- Takes a permit, waits while there is none. What it gives is for `<close>`.
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

--- semaphore:release()
--
-- Gives a permit back, to who has waited longest. Releasing more than was
-- acquired makes more permits; with a BoundedSemaphore it *raises*.
function Semaphore:release()
  if self.bound and self.value >= self.bound then
    asyncio._misuse("the BoundedSemaphore is released too many times")
  end
  self.value = self.value + 1
  wake_semaphore(self)
end

function Semaphore:_describe() return count(self.waiters) end

function Semaphore:__tostring()
  return ("Semaphore (%d free)"):format(self.value)
end

function Semaphore:__close() self:release() end

--- asyncio.Semaphore([n = 1]) -> semaphore
--
-- `n` permits. *Raises* if `n` is negative.
local function new_semaphore(value, bounded, name)
  value = whole(value == nil and 1 or value, 0)
  if not value then
    asyncio._misuse(name .. " needs a number of permits, 0 or more")
  end
  return setmetatable({value = value, bound = bounded and value or nil,
                       waiters = waiters()}, Semaphore)
end

-- == Barrier ============================================================

local Barrier = class("Barrier", {})

--- barrier:parties() -> integer
function Barrier:parties() return self.size end
--- barrier:broken() -> boolean
function Barrier:broken() return self.state == "broken" end

--- barrier:n_waiting() -> integer
function Barrier:n_waiting()
  return self.state == "filling" and self.count or 0
end

local function broken()
  error(asyncio.BrokenBarrierError.new("the barrier was broken"), 0)
end

-- Those who wait for the state to change look at it, one after another.
local function changed(self) notify(self.cond, math.huge) end

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

--- async barrier:wait() -> integer
--
-- Waits until so many are waiting, then all go on; each gets a different
-- number from 0 to `parties - 1`. The barrier can be used again. *Raises*
-- BrokenBarrierError if it is reset or broken meanwhile.
async function Barrier:wait()
  local cond <close> = await self.cond:acquire()
  await cond:wait_for(function()
    return self.state ~= "draining" and self.state ~= "resetting"
  end)
  if self.state == "broken" then broken() end
  local index = self.count
  self.count = index + 1
  local _ <close> = asyncio.defer(function() leave(self) end)
  if index + 1 == self.size then
    self.state = "draining"
    changed(self)
  else
    await cond:wait_for(function() return self.state ~= "filling" end)
    if self.state == "broken" or self.state == "resetting" then broken() end
  end
  return index
end

--- async barrier:reset()
--
-- Empties it; who waits gets BrokenBarrierError.
async function Barrier:reset()
  local _ <close> = await self.cond:acquire()
  self.state = self.count > 0 and "resetting" or "filling"
  changed(self)
end

--- async barrier:abort()
--
-- Breaks it until the next reset.
async function Barrier:abort()
  local _ <close> = await self.cond:acquire()
  self.state = "broken"
  changed(self)
end

function Barrier:_describe()
  return ("%d of %d are there"):format(self.count, self.size)
end

function Barrier:__tostring()
  return ("Barrier (%s)"):format(self:_describe())
end

--- asyncio.Barrier(parties) -> barrier
--
-- Waits until so many tasks are there. A waiter that is cancelled no longer
-- counts; the barrier is not broken by it.
local function new_barrier(parties)
  parties = whole(parties, 1)
  if not parties then
    asyncio._misuse("Barrier needs a number of parties, 1 or more")
  end
  return setmetatable({size = parties, count = 0, state = "filling",
                       cond = new_condition()}, Barrier)
end

return {
  Lock = new_lock,
  Event = new_event,
  Condition = new_condition,
  Semaphore = function(n) return new_semaphore(n, false, "Semaphore") end,
  --- asyncio.BoundedSemaphore([n = 1]) -> semaphore
  --
  -- The same, but `release` raises when there would be more than `n` permits.
  BoundedSemaphore = function(n)
    return new_semaphore(n, true, "BoundedSemaphore")
  end,
  Barrier = new_barrier,
}
