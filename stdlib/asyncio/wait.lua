-- wait.lua - waiting for several, or for one with a limit: asyncio.wait,
-- as_completed, wait_for, shield.

local asyncio = asyncio
local typename = asyncio._typename
local isfuture, iscoroutine = asyncio.isfuture, asyncio.iscoroutine
local Future, defer, catch = asyncio.Future, asyncio.defer, asyncio.catch
local misuse = asyncio._misuse
local check_options = asyncio._check_options
local check_awaitable = asyncio._check_awaitable
local ensure_future = asyncio._ensure_future

-- Future -> the future or the list of futures that it stands for, for dump.lua.
local aims = setmetatable({}, {__mode = "k"})
asyncio._aims = aims

-- The list without repetitions, each as a future; raises as the caller.
local function future_list(list, what, coroutines)
  if type(list) ~= "table" then
    misuse(("%s needs a list, not a %s value"):format(what, typename(list)))
  end
  for _, name in ipairs {"timeout", "return_when"} do
    if list[name] ~= nil then
      misuse(("%s has the option '%s' behind the list, not in it"):format(what,
        name))
    end
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
        typename(x) .. " value"))
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
    {timeout = "number", return_when = "string"}, "wait")
  local when = options.return_when or "ALL_COMPLETED"
  if not whens[when] then
    misuse(("option 'return_when' of wait must be FIRST_COMPLETED, " ..
      "FIRST_EXCEPTION or ALL_COMPLETED, not '%s'"):format(when))
  end
  local futures = future_list(list, "wait", false)
  if #futures == 0 then misuse("wait needs at least one future") end
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
  aims[waiter] = futures
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
                          "as_completed")
  local futures = future_list(list, "as_completed", true)
  -- As long as it will get, so that on_done never needs memory.
  local done = table.move(futures, 1, #futures, 1, {})
  local first, last, left = 1, 0, #futures
  local waiter, timer, expired
  local function wake()
    if waiter and not waiter:done() then waiter:set_result() end
  end
  local function on_done(f)
    if expired then return end
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
      aims[waiter] = futures
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
  check_awaitable(x, "wait_for")
  if seconds ~= nil and type(seconds) ~= "number" or seconds ~= seconds then
    misuse(("wait_for needs a number of seconds, not %s"):format(
      seconds ~= seconds and "nan" or "a " .. typename(seconds) .. " value"))
  end
  if seconds and seconds <= 0 then
    local task = ensure_future(x)
    if task:done() then return await task end
    task:cancel()
    asyncio._discard(x)
    await asyncio.wait({task})
    local result = table.pack(catch(task.result, task))
    if result[1] then return table.unpack(result, 2, result.n) end
    if asyncio.iserror(result[2], asyncio.CancelledError) then
      error(asyncio.TimeoutError.new("timed out"), 0)
    end
    error(result[2], 0)
  end
  local scope <close> = asyncio.timeout(seconds)
  return await x
end

--- async asyncio.shield(x) -> the values of x
--
-- Awaits `x`, but a cancellation of the waiter does not reach `x`, which goes
-- on as a task of its own. Its error, if nobody else awaits it, is reported.
function asyncio.shield(x)
  check_awaitable(x, "shield")
  local inner = ensure_future(x)
  if inner:done() then return inner end
  local outer = Future()
  aims[outer] = inner
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

return {} -- they are in their places already
