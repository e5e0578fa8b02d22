-- loop.lua - asyncio.get_running_loop(): the machine's loop as an object.
--
-- There is one loop per machine, so there is one object. Callbacks run
-- outside any task.

local asyncio = asyncio

local loop = {slow_callback_duration = 0.1}
local Loop = {__name = "loop"}
Loop.__index = Loop

--- loop:time() -> seconds, the clock of call_at and timeout_at
function Loop:time() return asyncio.time() end

--- loop:call_soon(f, ...) -> handle with cancel() and cancelled()
function Loop:call_soon(f, ...) return asyncio._call_soon(f, ...) end

--- loop:call_later(seconds, f, ...) -> handle, which also has when()
function Loop:call_later(s, f, ...) return asyncio._call_later(s, f, ...) end

--- loop:call_at(time, f, ...) -> handle
function Loop:call_at(time, f, ...) return asyncio._call_at(time, f, ...) end

function Loop:create_task(x, options)
  return asyncio.create_task(x, options)
end

function Loop:create_future() return asyncio.Future() end

function Loop:set_debug(on) asyncio._set_debug(on and true or false) end
function Loop:get_debug() return asyncio._get_debug() end

--- loop:set_exception_handler(f or nil): f(loop, context)
--
-- Is told of errors that nobody waits for: context.message, .exception and
-- .task. What it was told does not set the exit status.
function Loop:set_exception_handler(f)
  if f ~= nil and type(f) ~= "function" then
    error(("set_exception_handler needs a function, not a %s value")
      :format(type(f)), 2)
  end
  asyncio._set_exception_handler(f and function(context)
    return f(self, context)
  end)
end

setmetatable(loop, Loop)

local function get() return loop end

return {get_running_loop = get, get_event_loop = get}
