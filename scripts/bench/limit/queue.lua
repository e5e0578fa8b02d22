-- queue.lua - the limit of a bounded queue: a scheduler of coroutines, a ring
-- that holds ten items, one producer and one consumer, all in plain Lua. Prints
-- millions of messages a second.

local MESSAGES <const> = 2000000
local resume, yield = coroutine.resume, coroutine.yield

-- What is ready to run, first in, first out.
local ready, first, last = {}, 1, 0
local current

local function wake(co)
  last = last + 1
  ready[last] = co
end

local function run()
  while first <= last do
    current = ready[first]
    ready[first] = nil
    first = first + 1
    assert(resume(current))
  end
end

-- `put` and `got` count the items; item i is in place i & 15 of the ring. One
-- producer and one consumer need no list of waiters.
local function new_queue(size)
  local ring, put, got, getter, putter = {}, 0, 0, nil, nil
  local q = {}
  function q.put(item)
    while put - got == size do putter = current; yield() end
    ring[put & 15] = item
    put = put + 1
    if getter then wake(getter); getter = nil end
  end
  function q.get()
    while put == got do getter = current; yield() end
    local item = ring[got & 15]
    got = got + 1
    if putter then wake(putter); putter = nil end
    return item
  end
  return q
end

local q = new_queue(10)
local sum = 0

wake(coroutine.create(function ()
  for i = 1, MESSAGES do q.put(i) end
end))

wake(coroutine.create(function ()
  for _ = 1, MESSAGES do sum = sum + q.get() end
end))

local start = os.clock()
run()
assert(sum == MESSAGES * (MESSAGES + 1) // 2)
print("queue", MESSAGES / (os.clock() - start) / 1e6)
