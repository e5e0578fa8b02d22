-- loop.lua - asyncio.get_running_loop(): the machine's loop as an object.
--
-- There is one loop per machine, so there is one object. Callbacks run
-- outside any task.

local asyncio = asyncio
local typename = asyncio._typename

local loop = {}
local Loop = {__name = "loop"}

-- loop.slow_callback_duration: seconds; in debug mode a step that runs longer
-- is reported while it runs.
function Loop:__index(name)
  if name == "slow_callback_duration" then return asyncio._block_limit() end
  return Loop[name]
end

function Loop:__newindex(name, value)
  if name ~= "slow_callback_duration" then
    rawset(self, name, value)
  elseif type(value) ~= "number" or not (value > 0) then
    asyncio._misuse("slow_callback_duration needs a number of seconds above 0")
  else
    asyncio._block_limit(value)
  end
end

function Loop:__tostring() return "loop" end

--- loop:time() -> seconds
--- loop:create_task(x [, options]) -> Task
--- loop:create_future() -> Future
--
-- As `asyncio.time`, `asyncio.create_task`, `asyncio.Future`.
function Loop:time() return asyncio.time() end

-- Raises at the caller's caller unless f is a function and, if `what` is
-- given, `when` a number of that.
local function check_call(name, f, what, when)
  if what and (type(when) ~= "number" or when ~= when) then
    asyncio._misuse(("%s needs %s, not %s"):format(name, what,
      type(when) == "number" and "nan" or "a " .. typename(when) .. " value"))
  elseif type(f) ~= "function" then
    asyncio._misuse(("%s needs a function, not a %s value"):format(name,
      typename(f)))
  end
end

--- loop:call_soon(f, ...) -> handle
--
-- Calls `f(...)` in the next turn, in order. `f` cannot be an async function,
-- nor can any other callback.
function Loop:call_soon(f, ...)
  check_call("call_soon", f)
  return asyncio._call_soon(f, ...)
end

--- loop:call_later(seconds, f, ...) -> handle
--- loop:call_at(when, f, ...) -> handle
--
-- Calls `f(...)` later, or at a point in time; equal times in the order they
-- were asked for.
function Loop:call_later(s, f, ...)
  check_call("call_later", f, "a number of seconds", s)
  return asyncio._call_later(s, f, ...)
end

function Loop:call_at(time, f, ...)
  check_call("call_at", f, "a time", time)
  return asyncio._call_at(time, f, ...)
end

function Loop:create_task(x, options)
  return asyncio.create_task(x, options)
end

function Loop:create_future() return asyncio.Future() end

--- loop:set_debug(on)
--- loop:get_debug() -> boolean
--- loop.slow_callback_duration
--
-- [Debug mode](#debug-mode), and the seconds (0.1) from which on it reports a
-- step.
function Loop:set_debug(on) asyncio._set_debug(on and true or false) end
function Loop:get_debug() return asyncio._get_debug() end

--- loop:set_exception_handler(f)
--
-- `f(loop, context)` is called for errors that nobody else gets, with
-- `context.message`, `context.exception` and `context.task`. What a handler
-- took does not set the exit status. nil restores the report on stderr.
function Loop:set_exception_handler(f)
  if f ~= nil and type(f) ~= "function" then
    asyncio._misuse(("set_exception_handler needs a function, not a %s value")
      :format(typename(f)))
  end
  if f then asyncio._check_callback(f) end
  asyncio._set_exception_handler(f and function(context)
    return f(self, context)
  end)
end

-- == Signals ============================================================

local watches = {} -- number of the signal -> what listens for its handler

--- loop:add_signal_handler(signal, f, ...)
--
-- Calls `f(...)` in a turn of the loop each time the process gets the signal,
-- `"SIGTERM"` for example, in place of what the signal usually does; a second
-- handler replaces the first. *Raises* for a signal that cannot be caught.
function Loop:add_signal_handler(signal, f, ...)
  local process = require "neap.process"
  if type(f) ~= "function" then
    asyncio._misuse(("add_signal_handler needs a function, not a %s value")
      :format(typename(f)))
  end
  asyncio._check_callback(f)
  local call = f
  if select("#", ...) > 0 then
    local arguments = table.pack(...)
    call = function() f(table.unpack(arguments, 1, arguments.n)) end
  end
  local watch, number = process._watch(signal, call, "add_signal_handler")
  if watches[number] then watches[number]:close() end
  watches[number] = watch
end

--- loop:remove_signal_handler(signal) -> whether there was one
function Loop:remove_signal_handler(signal)
  local process = require "neap.process"
  local number = process._signal_number(signal, "remove_signal_handler")
  local watch = watches[number]
  watches[number] = nil
  if watch then watch:close() end
  return watch ~= nil
end

setmetatable(loop, Loop)

--- asyncio.get_running_loop() -> loop
--- asyncio.get_event_loop() -> loop
--
-- The loop that drives this machine; there is exactly one. Callbacks run
-- outside any task and cannot await; make a task there, or set a Future.
--
-- ```lua
-- local loop = asyncio.get_running_loop()
-- loop:call_later(0.01, print, "later")
-- local never = loop:call_soon(print, "never")
-- never:cancel()
-- loop:call_soon(print, "soon")
-- await asyncio.sleep(0.03)
--
-- --> soon
-- --> later
-- ```
local function get() return loop end

return {get_running_loop = get, get_event_loop = get}
