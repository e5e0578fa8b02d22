-- asyncio.lua - the global table asyncio: require "neap.asyncio".
--
-- The machine has put tasks, futures, gather, timeout scopes and errors into
-- the table; here is what is composed of them. Parts that a program may not
-- need are in files of their own and are loaded when one of their names is
-- first used.

local asyncio = asyncio
local create_task, isfuture = asyncio.create_task, asyncio.isfuture
local iscoroutine, catch = asyncio.iscoroutine, asyncio.catch
local Future, defer = asyncio.Future, asyncio.defer
local current_task, all_tasks = asyncio.current_task, asyncio.all_tasks
local misuse = asyncio._misuse -- raises with the line of the script

local parts = {
  Queue = "queues", PriorityQueue = "queues", LifoQueue = "queues",
  Lock = "locks", Event = "locks", Condition = "locks",
  Semaphore = "locks", BoundedSemaphore = "locks", Barrier = "locks",
  TaskGroup = "groups", ContextVar = "context",
  get_running_loop = "loop", get_event_loop = "loop",
  dump_tasks = "dump", _dump = "dump",
}

local function load_part(name)
  for key, value in pairs(require("neap.asyncio." .. parts[name])) do
    rawset(asyncio, key, value)
  end
end

setmetatable(asyncio, {
  __name = "asyncio",
  __index = function(t, name)
    if parts[name] == nil then return nil end
    load_part(name)
    return rawget(t, name)
  end,
  __pairs = function(t)
    for name in next, parts do
      if rawget(t, name) == nil then load_part(name) end
    end
    return next, t, nil
  end,
})

-- Raises, at the caller's line, unless `options` has only names in `known`,
-- each of the type given there.
local function check_options(options, known, what)
  if options == nil then return {} end
  if type(options) ~= "table" then
    misuse(("options of %s must be a table, not a %s")
      :format(what, type(options)))
  end
  for name, value in pairs(options) do
    local expected = known[name]
    if expected == nil then
      misuse(("unknown option '%s' for %s"):format(tostring(name), what))
    elseif type(value) ~= expected then
      misuse(("option '%s' of %s must be a %s, not a %s")
        :format(name, what, expected, type(value)))
    end
  end
  return options
end
asyncio._check_options = check_options

-- Raises, at the caller's caller's line, unless `x` can be awaited.
local function check_awaitable(x, what)
  if isfuture(x) or iscoroutine(x) then return end
  local meta = getmetatable(x)
  if type(meta) == "table" and meta.__await then return end
  misuse(("%s needs an awaitable, not a %s value"):format(what, type(x)))
end

local function ensure_future(x)
  if isfuture(x) then return x end
  return create_task(x)
end

-- The list without repetitions, each as a future; raises as the caller.
local function future_list(list, what, coroutines)
  if type(list) ~= "table" then
    misuse(("%s needs a list, not a %s value"):format(what, type(list)))
  end
  local seen, futures = {}, {}
  for i = 1, #list do
    local x = list[i]
    local meta = coroutines and getmetatable(x)
    if not isfuture(x) and not (coroutines and iscoroutine(x)) and
       not (type(meta) == "table" and meta.__await) then
      misuse(("%s needs %s: number %d is a %s"):format(what,
        coroutines and "awaitables" or "tasks or futures", i,
        iscoroutine(x) and "coroutine object (give it to create_task)" or
        type(x) .. " value"))
    end
    if not seen[x] then
      seen[x] = true
      futures[#futures + 1] = x
    end
  end
  if coroutines then
    for i, x in ipairs(futures) do futures[i] = ensure_future(x) end
  end
  return futures
end

-- == Running ============================================================

-- Cancels all tasks but the running one and waits for their ends.
local function end_others()
  local me, others = current_task(), {}
  for _, task in ipairs(all_tasks()) do
    if task ~= me then
      task:cancel()
      others[#others + 1] = task
    end
  end
  for _, task in ipairs(others) do
    local ok, e = catch(await, task)
    if not ok and not task:cancelled() then
      asyncio._report("error while asyncio.run was ending", e, task)
    end
  end
end

local running = false

--- asyncio.run(x [, {debug = false}]) -> the values of x
--
-- Runs the awaitable `x` and gives its values; then cancels every other task
-- but the caller's and waits for their end. In the main chunk, which is a task
-- already, it is seldom needed; it may be called there any number of times.
-- `debug` turns debug mode on for its duration. *Raises* the error of `x`;
-- calling it in any other task is an error.
--
-- ```lua
-- local async function main()
--   asyncio.create_task(asyncio.sleep(3600))  -- cancelled when main ends
--   return "ready"
-- end
-- print(asyncio.run(main()))  --> ready
-- ```
function asyncio.run(x, options)
  options = check_options(options, {debug = "boolean"}, "asyncio.run")
  check_awaitable(x, "asyncio.run")
  if running or not asyncio._is_main() then
    error("asyncio.run() cannot be called inside a running task", 2)
  end
  local debug = asyncio._get_debug()
  running = true
  if options.debug ~= nil then asyncio._set_debug(options.debug) end
  local task = ensure_future(x)
  local result = table.pack(catch(await, task))
  local ended, e = catch(end_others)
  running = false
  asyncio._set_debug(debug)
  if not result[1] then error(result[2], 0) end
  if not ended then error(e, 0) end
  return table.unpack(result, 2, result.n)
end

-- == Waiting for several ================================================

local whens = {FIRST_COMPLETED = true, FIRST_EXCEPTION = true,
               ALL_COMPLETED = true}

--- async asyncio.wait(list [, options]) -> done, pending
--
-- Gives two lists: the tasks and futures of `list` that are done, and those
-- that are pending. It raises no task's error and cancels none, not even when
-- it is cancelled itself.
--
-- - `timeout`: seconds to wait at most; when they pass, it gives what there
--   is.
-- - `return_when`: `"ALL_COMPLETED"` (the default), `"FIRST_COMPLETED"` or
--   `"FIRST_EXCEPTION"` (a cancellation is no exception here).
--
-- *Raises* for an empty list, and for coroutine objects: they would be lost in
-- the lists it gives, so make tasks of them first.
async function asyncio.wait(list, options)
  options = check_options(options,
    {timeout = "number", return_when = "string"}, "asyncio.wait")
  local when = options.return_when or "ALL_COMPLETED"
  if not whens[when] then
    error(("option 'return_when' of asyncio.wait is '%s'"):format(when), 2)
  end
  local futures = future_list(list, "asyncio.wait", false)
  if #futures == 0 then error("asyncio.wait needs at least one future", 2) end
  local waiter, left, timer = Future(), #futures, nil
  local function on_done(f)
    left = left - 1
    if waiter:done() then return end
    if left <= 0 or when == "FIRST_COMPLETED" or
       when == "FIRST_EXCEPTION" and not f:cancelled() and
       f:exception() ~= nil then
      waiter:set_result()
    end
  end
  if options.timeout then
    timer = asyncio._call_later(options.timeout, function()
      if not waiter:done() then waiter:set_result() end
    end)
  end
  for _, f in ipairs(futures) do f:add_done_callback(on_done) end
  do
    local _ <close> = defer(function()
      if timer then timer:cancel() end
      for _, f in ipairs(futures) do f:remove_done_callback(on_done) end
    end)
    await waiter
  end
  local done, pending = {}, {}
  for _, f in ipairs(futures) do
    local into = f:done() and done or pending
    into[#into + 1] = f
  end
  return done, pending
end

--- asyncio.as_completed(list [, {timeout = nil}]) -> iterator
--
-- For `for`: gives the tasks in the order they end. `await task` (or
-- `task:result()`) then gives the value or raises the error. After `timeout`
-- seconds the loop raises TimeoutError; tasks that are not done go on. So they
-- do when the loop is left early.
--
-- ```lua
-- local naps = {asyncio.sleep(0.03, "long"), asyncio.sleep(0.01, "short")}
-- for task in asyncio.as_completed(naps) do print(await task) end
--
-- --> short
-- --> long
-- ```
function asyncio.as_completed(list, options)
  options = check_options(options, {timeout = "number"},
                          "asyncio.as_completed")
  local futures = future_list(list, "asyncio.as_completed", true)
  -- As long as it will get, so that on_done never needs memory.
  local done = table.move(futures, 1, #futures, 1, {})
  local first, last, left = 1, 0, #futures
  local waiter, timer, expired
  local function wake()
    if waiter and not waiter:done() then waiter:set_result() end
  end
  local function on_done(f)
    last = last + 1
    done[last] = f
    if last == #futures and timer then timer:cancel() end
    wake()
  end
  for _, f in ipairs(futures) do f:add_done_callback(on_done) end
  if options.timeout and left > 0 then
    timer = asyncio._call_later(options.timeout, function()
      expired = true
      for _, f in ipairs(futures) do f:remove_done_callback(on_done) end
      wake()
    end)
  end
  return function()
    if left == 0 then return nil end
    while first > last do
      if expired then
        left = 0
        error(asyncio.TimeoutError.new("timed out"), 0)
      end
      waiter = Future()
      await waiter
    end
    local f = done[first]
    done[first] = nil
    first, left = first + 1, left - 1
    return f
  end
end

-- == One at a time ======================================================

--- async asyncio.wait_for(x, seconds) -> the values of x
--
-- Awaits `x`, but not longer than that. When the time has passed, `x` is
-- cancelled, its clean-up is waited for, and TimeoutError is raised; an error
-- that `x` raises while it is being cancelled comes out instead. nil seconds
-- means no limit. With 0 or less, an `x` that is not done is never started.
async function asyncio.wait_for(x, seconds)
  check_awaitable(x, "asyncio.wait_for")
  if seconds ~= nil and type(seconds) ~= "number" then
    error(("asyncio.wait_for needs a number of seconds, not a %s value")
      :format(type(seconds)), 2)
  end
  if seconds and seconds <= 0 then
    local task = ensure_future(x)
    if task:done() then return await task end
    task:cancel()
    asyncio._discard(x)
    await asyncio.wait({task})
    if not task:cancelled() then return await task end
    error(asyncio.TimeoutError.new("timed out"), 0)
  end
  local scope <close> = asyncio.timeout(seconds)
  return await x
end

--- async asyncio.shield(x) -> the values of x
--
-- Awaits `x`, but a cancellation of the waiter does not reach `x`, which goes
-- on as a task of its own. Its error, if nobody else awaits it, is reported.
function asyncio.shield(x)
  check_awaitable(x, "asyncio.shield")
  local inner = ensure_future(x)
  if inner:done() then return inner end
  local outer = Future()
  local function on_inner()
    if not outer:cancelled() then asyncio._copy_outcome(inner, outer)
    elseif not inner:cancelled() then inner:exception() end
  end
  inner:add_done_callback(on_inner)
  outer:add_done_callback(function()
    if not inner:done() then inner:remove_done_callback(on_inner) end
  end)
  return outer
end

return asyncio
