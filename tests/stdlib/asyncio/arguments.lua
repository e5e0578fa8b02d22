-- What asyncio says of options that do not exist and of wrong types: what it
-- is, by name, at the line of the call.

require "tests.cases"

local async function one() return 1 end

-- f must raise `what`, as a string with a line of this file. With a handler
-- that is so for what Lua says of a mistake inside of the library, too.
local function mistake(what, f, handler)
  local ok, e
  if handler then ok, e = xpcall(f, handler) else ok, e = asyncio.catch(f) end
  assert(not ok, "no error: " .. what)
  assert(type(e) == "string", tostring(e))
  local line = debug.getinfo(f, "S").linedefined
  equal(e, ("tests/stdlib/asyncio/arguments.lua:%d: %s"):format(line, what))
end

-- The same in which f is given a coroutine object, which stays unused.
local function refused(what, f)
  local x = one()
  local line = debug.getinfo(f, "S").linedefined
  local ok, e = asyncio.catch(f, x)
  assert(not ok, "no error: " .. what)
  equal(e, ("tests/stdlib/asyncio/arguments.lua:%d: %s"):format(line, what))
  equal(await x, 1)
end

test("run", function()
  refused("unknown option 'debgu' for run",
    function(x) asyncio.run(x, {debgu = true}) end)
  refused("option 'debug' of run must be a boolean, not a number",
    function(x) asyncio.run(x, {debug = 1}) end)
  mistake("run needs an awaitable, not a function value: call the function",
    function() asyncio.run(one) end)
  local inner = one()
  local task = asyncio.create_task((async function()
    mistake("asyncio.run() cannot be called inside a running task",
      function() return (asyncio.run(inner)) end)
  end)())
  await task
  equal(await inner, 1)
end)

test("create_task", function()
  refused("unknown option 'nmae' for create_task",
    function(x) asyncio.create_task(x, {nmae = "x"}) end)
  refused("option 'name' of create_task must be a string, not a number",
    function(x) asyncio.create_task(x, {name = 1}) end)
  refused("options of create_task must be a table, not a string",
    function(x) asyncio.create_task(x, "name") end)
  mistake("create_task needs an awaitable, not a nil value",
    function() asyncio.create_task() end)
end)

test("gather", function()
  refused("unknown option 'return_exception' for gather",
    function(x) asyncio.gather({x}, {return_exception = true}) end)
  refused("option 'return_exceptions' of gather must be a boolean, not a " ..
    "number", function(x) asyncio.gather({x}, {return_exceptions = 1}) end)
  refused("options of gather must be a table, not a boolean",
    function(x) asyncio.gather({x}, true) end)
  refused("gather needs awaitables: number 2 is a nil value",
    function(x) asyncio.gather(x, nil) end)
end)

test("wait and as_completed", function()
  local list = {asyncio.create_task(one())}
  mistake("unknown option 'timout' for wait",
    function() await asyncio.wait(list, {timout = 1}) end)
  mistake("option 'timeout' of wait must be a number, not a string",
    function() await asyncio.wait(list, {timeout = "1"}) end)
  mistake("option 'timeout' of wait must be a number, not nan",
    function() await asyncio.wait(list, {timeout = 0 / 0}) end)
  mistake("option 'return_when' of wait must be FIRST_COMPLETED, "
    .. "FIRST_EXCEPTION or ALL_COMPLETED, not 'FIRST'",
    function() await asyncio.wait(list, {return_when = "FIRST"}) end)
  mistake("wait needs a list, not a Task value",
    function() await asyncio.wait(list[1]) end)
  mistake("unknown option 'limit' for as_completed",
    function() asyncio.as_completed(list, {limit = 1}) end)
  mistake("option 'timeout' of as_completed must be a number, not nan",
    function() asyncio.as_completed(list, {timeout = 0 / 0}) end)
  await list[1]
end)

test("limits of time", function()
  refused("wait_for needs a number of seconds, not a table value",
    function(x) await asyncio.wait_for(x, {timeout = 1}) end)
  refused("wait_for needs a number of seconds, not nan",
    function(x) await asyncio.wait_for(x, 0 / 0) end)
  mistake("bad argument #1 to 'timeout' (number expected, got string)",
    function() local _ <close> = asyncio.timeout("soon") end)
  mistake("bad argument #1 to 'timeout_at' (a time expected, got nan)",
    function() local _ <close> = asyncio.timeout_at(0 / 0) end)
end)

test("TaskGroup", function()
  mistake("unknown option 'limits' for TaskGroup",
    function() local _ <close> = asyncio.TaskGroup {limits = 1} end)
  mistake("option 'limit' of TaskGroup must be a number, not a string",
    function() local _ <close> = asyncio.TaskGroup {limit = "1"} end)
  for _, limit in ipairs {0, -1, 1.5} do
    mistake("option 'limit' of TaskGroup must be at least 1, and whole",
      function() local _ <close> = asyncio.TaskGroup {limit = limit} end)
  end
end)

test("locks, queues, variables", function()
  mistake("Semaphore needs a number of permits, 0 or more",
    function() local _ = asyncio.Semaphore(-1) end)
  mistake("BoundedSemaphore needs a number of permits, 0 or more",
    function() local _ = asyncio.BoundedSemaphore("1") end)
  mistake("Barrier needs a number of parties, 1 or more",
    function() local _ = asyncio.Barrier(0) end)
  mistake("Condition needs a Lock, not a number",
    function() local _ = asyncio.Condition(5) end)
  mistake("notify needs a number of tasks, not a string value",
    function() asyncio.Condition():notify("all") end)
  mistake("Queue needs a number as its size, not a string value",
    function() local _ = asyncio.Queue("1") end)
  mistake("Queue needs a number as its size, not nan",
    function() local _ = asyncio.Queue(0 / 0) end)
  mistake("ContextVar needs a name, not a nil value",
    function() local _ = asyncio.ContextVar() end)
end)

test("a method that is called with a dot", function()
  local q, lock = asyncio.Queue(), asyncio.Lock()
  local heap, var = asyncio.PriorityQueue(), asyncio.ContextVar("v", 1)
  local condition, barrier = asyncio.Condition(lock), asyncio.Barrier(2)
  local function dotted(what, f)
    local name, value = what:match "^(%S+) (.*)"
    mistake(("calling '%s' on bad self (a %s value): did you write '.' for "
      .. "':'?"):format(name, value), f, function(m) return m end)
  end
  dotted("put_nowait number", function() q.put_nowait(5) end)
  dotted("put_nowait table", function() q.put_nowait {5} end)
  dotted("put number", function() await q.put(5) end)
  dotted("put number", function() local c = q.put(5) await c end)
  dotted("get nil", function() await q.get() end)
  dotted("get nil", function() await heap.get() end)
  dotted("join nil", function() await q.join() end)
  dotted("items nil", function() for _ in q.items() do end end)
  dotted("acquire nil", function() await lock.acquire() end)
  dotted("release nil", function() lock.release() end)
  dotted("wait nil", function() await condition.wait() end)
  dotted("abort nil", function() await barrier.abort() end)
  dotted("set number", function() var.set(5) end)
  dotted("get nil", function() var.get() end)

  -- whoever catches it, where it is called
  local ok, e = coroutine.resume(coroutine.create(function()
    q.put_nowait(5)
  end))
  assert(not ok and e:find "arguments.lua:%d+: calling 'put_nowait'", e)
  ok, e = coroutine.resume(coroutine.create(function()
    await asyncio.sleep(0)
    q.put_nowait(5)
  end))
  assert(not ok and e:find "arguments.lua:%d+: calling 'put_nowait'", e)
  for _, handler in ipairs {debug.traceback, function(m) return m end} do
    ok, e = xpcall(function() lock.release() end, handler)
    assert(not ok and e:find "arguments.lua:%d+: calling 'release'", e)
  end
  ok, e = pcall(await, asyncio.create_task((async function()
    lock.release()
  end)()))
  assert(not ok and e:find "arguments.lua:%d+: calling 'release'", e)
end)

test("what Lua says inside of the library is said of the caller", function()
  local heap = asyncio.PriorityQueue()
  heap:put_nowait {}
  mistake("attempt to compare two table values",
    function() heap:put_nowait {} end, function(m) return m end)
end)

test("a task made in a group with a dot", function()
  local group <close> = asyncio.TaskGroup()
  refused("calling 'create_task' on bad self (a coroutine object value): " ..
    "did you write '.' for ':'?", function(x) group.create_task(x) end)
end)

test("values go by the name of their class", function()
  refused("options of TaskGroup must be a table, not a coroutine object",
    function(x) local _ <close> = asyncio.TaskGroup(x) end)
  local queue, future = asyncio.Queue(), asyncio.Future()
  mistake("gather needs awaitables: number 2 is a Queue value",
    function() await asyncio.gather(future, queue) end)
end)

test("options in the list that they belong behind", function()
  refused("gather has the option 'return_exceptions' behind the list, not " ..
    "in it", function(x) asyncio.gather {x, return_exceptions = true} end)
  local future = asyncio.Future()
  mistake("wait has the option 'timeout' behind the list, not in it",
    function() await asyncio.wait {future, timeout = 1} end)
  mistake("as_completed has the option 'timeout' behind the list, not in it",
    function() asyncio.as_completed {future, timeout = 1} end)
end)
