--[[
process.lua - require "neap.process": other programs, signals, and our own
standard streams.

Starting, ending and signalling is in C (neap.process.core); here is what is
made of it: options, streams, time limits, iteration. The streams are those
of neap.net.
]]

local core = require "neap.process.core"
local arguments = require "neap.arguments"
local net = require "neap.net"
local asyncio = require "neap.asyncio"

local misuse, typename = arguments.misuse, arguments.typename
local GRACE = 5 -- seconds between SIGTERM and SIGKILL

local process = {
  pid = core.pid(),
  environ = core.environ,
  kill = core.kill,
  -- for the loop's handlers of signals
  _watch = core.watch,
  _signal_number = core.signal_number,
  --- process.ProcessError
  --
  -- A class derived from `asyncio.Error`: `e.argv`, `e.status`, `e.signal`,
  -- `e.stdout`, `e.stderr`. The message ends in the last line of stderr.
  ProcessError = asyncio.Error:extend("ProcessError"),
}

local Process = {__name = "Process"}
Process.__index = Process

-- == Arguments ==========================================================

local dimension = arguments.integer(1, 65535)

local function account(value)
  if type(value) == "string" then return arguments.name(value) end
  if math.type(value) ~= "integer" then
    return "must be a name or an integer, not " .. typename(value)
  elseif value < 0 or value > 0xfffffffe then
    return ("must be from 0 to 4294967294, not %d"):format(value)
  end
end

local function is_stream(value)
  local meta = type(value) == "userdata" and getmetatable(value)
  return meta and meta.__index == net._Stream
end

local kinds = {inherit = true, pipe = true, null = true}

local function stream(value)
  if type(value) == "string" then
    if kinds[value] then return end
    return ("is '%s', not 'inherit', 'pipe' or 'null'"):format(value)
  elseif io.type(value) == "closed file" then
    return "is a closed file"
  elseif not is_stream(value) and io.type(value) ~= "file" then
    return "must be a string, a stream or a file of io, not " .. typename(value)
  end
end

local function error_stream(value)
  if value ~= "stdout" then return stream(value) end
end

local spawn_options = {
  stdin = stream, stdout = stream, stderr = error_stream,
  cwd = arguments.name, env = arguments.table, new_group = arguments.boolean,
  detached = arguments.boolean, user = account, group = account,
  pty = arguments.boolean, rows = dimension, cols = dimension,
}

local function of_spawn() return "is an option of spawn" end

local run_options = {
  detached = of_spawn, pty = of_spawn, rows = of_spawn, cols = of_spawn,
  stdin = stream, stdout = stream, stderr = error_stream,
  cwd = arguments.name, env = arguments.table, new_group = arguments.boolean,
  user = account, group = account,
  input = arguments.string, capture = arguments.boolean,
  check = arguments.boolean, timeout = arguments.seconds,
  grace = arguments.seconds,
}

-- The value as a string for the system; raises if it cannot be one.
local function text_of(name, what, value)
  if type(value) ~= "string" and type(value) ~= "number" then
    misuse(name, ("%s must be a string, not %s"):format(what,
      typename(value)))
  end
  value = tostring(value)
  if value:find("\0", 1, true) then misuse(name, what .. " has a NUL") end
  return value
end

local function arguments_of(name, argv)
  if type(argv) ~= "table" then
    misuse(name, "argv must be a list of strings, not " .. typename(argv))
  end
  local list = {}
  for i = 1, #argv do list[i] = text_of(name, "argv[" .. i .. "]", argv[i]) end
  for key in pairs(argv) do
    if not list[key] then
      misuse(name, ("argv has the key '%s', which is no place in the list")
        :format(key))
    end
  end
  if #list == 0 or list[1] == "" then
    misuse(name, "argv names no program")
  end
  return list
end

local function environment_of(name, env)
  if not env then return nil end
  local list = {}
  for key, value in pairs(env) do
    if type(key) ~= "string" or key == "" or key:find("[=\0]") then
      misuse(name, ("env has the name '%s'"):format(key))
    end
    list[#list + 1] = key .. "=" .. text_of(name, "env." .. key, value)
  end
  return list
end

-- Where the program may be: as execvp has it, but by the child's PATH.
local function paths_of(program, env)
  if program:find("/", 1, true) then return {program} end
  local path = os.getenv "PATH"
  if env then path = env.PATH end
  path = path or "/usr/local/bin:/usr/bin:/bin"
  local list = {}
  for dir in (path .. ":"):gmatch "([^:]*):" do
    list[#list + 1] = (dir == "" and "." or dir) .. "/" .. program
  end
  return list
end

local function accounts_to(spec, name, options)
  local user, group = options.user, options.group
  if user then
    spec.uid, spec.gid, spec.groups = core.user(user)
    if not spec.uid then
      misuse(name, ("user '%s' does not exist"):format(user))
    end
  end
  if group then
    spec.gid = type(group) == "string" and core.group(group) or group
    if type(spec.gid) ~= "number" then
      misuse(name, ("group '%s' does not exist"):format(group))
    end
  end
end

-- == Processes ==========================================================

-- What core.spawn takes for a stream: a word, or a descriptor.
local function descriptor_of(value)
  if value == nil then return "inherit" end
  if type(value) == "string" then return value end
  if is_stream(value) then return net._fileno(value) end
  return core.fileno(value)
end

--- child.pid, child.stdin, child.stdout, child.stderr
--
-- The child's number, and the streams that were asked for with `"pipe"` or
-- `pty`. They are streams like those of [net](net.md#stream). A stream goes
-- one way: what writes to `stdin` ends it with `close()` or `await
-- shutdown()`.
local names = {"stdin", "stdout", "stderr"}

-- Makes streams of our ends. One that fails is the child's to close.
local function open_streams(self, program)
  local child = self._child
  for i, name in ipairs(names) do
    local fd = child:_fd(i - 1)
    if fd then
      self[name] = net._open_fd(fd, name .. " of " .. program)
      child:_taken(i - 1)
    end
  end
end

-- `list` is what arguments_of gave.
local function start(name, list, options)
  local spec = {
    argv = list, paths = paths_of(list[1], options.env),
    env = environment_of(name, options.env), cwd = options.cwd,
    new_group = options.new_group, detached = options.detached,
    pty = options.pty, rows = options.rows or 24, cols = options.cols or 80,
  }
  accounts_to(spec, name, options)
  for _, stream in ipairs(names) do
    if options.pty and options[stream] ~= nil then
      misuse(name, ("pty and %s exclude each other"):format(stream))
    end
    spec[stream] = descriptor_of(options[stream])
  end
  local child = core.spawn(spec)
  local self = setmetatable({_child = child, pid = child:pid()}, Process)
  self._detached, self._pty = options.detached, options.pty
  local ok, e = pcall(open_streams, self, list[1]:match "[^/]*$")
  if not ok then
    self:close()
    error(e, 0)
  end
  if options.pty then self.stdout = self.stdin end
  for _, stream in ipairs(names) do
    if is_stream(options[stream]) then options[stream]:close() end
  end
  return self
end

--- process.spawn(argv [, options]) -> Process
--
-- Starts a program; it is there at once. Options:
--
-- - `stdin`, `stdout`, `stderr`: one of
--   - `"inherit"`: our own (the default);
--   - `"pipe"`: a stream, in the field of the Process of that name;
--   - `"null"`: nothing to read; what is written is lost;
--   - `"stdout"`, for `stderr` only: where stdout goes;
--   - a Stream of `neap.net` or of another Process, which then belongs to the
--     child and is closed here (what was read ahead from it stays with us);
--   - an open file of `io`.
-- - `cwd`: the directory to start in.
-- - `env`: a table with all of its environment; to change a variable, start
--   from `process.environ()`. Its PATH is where the program is looked for.
-- - `new_group`: true makes it the leader of a new process group: then `kill`
--   and the end of the Process reach what it has started, too (false).
-- - `detached`: true makes it the leader of a new session, and closing,
--   collecting and our own end let it live (false).
-- - `user`, `group`: names or numbers to run as. A user brings its groups; one
--   that is only a number has none, and keeps our `group`. Usually only root
--   may do that.
-- - `pty`: true gives it a terminal of its own, on all three streams (false);
--   `rows` (24) and `cols` (80) are its size. `stdin` and `stdout` of the
--   Process are then one and the same stream, and what is written to it is
--   echoed there as usual; reading ends when the child has, and what else it
--   started there.
--
-- `await process.spawn(...)` may be written as well.
function process.spawn(argv, options)
  local list = arguments_of("spawn", argv)
  options = arguments.options("spawn", options, spawn_options)
  return start("spawn", list, options)
end

local function check_self(self, name)
  if getmetatable(self) ~= Process then
    misuse(name, "needs a Process, not " .. typename(self))
  end
  return self._child
end

-- `await process.spawn(...)` is right too: a child is there at once.
local async function itself(self) return self end
Process.__await = itself

function Process:__tostring()
  return ("Process: %d%s"):format(self.pid,
    self._child:closed() and " (closed)" or "")
end

--- async child:wait() -> status, signal
--
-- Waits for the child's end. One of the two values is nil: the status that it
-- returned, or the name of the signal that ended it. Any number of tasks may
-- wait, and also when it is over. Cancelling this does nothing to the child.
--
-- Read what a child writes to a pipe: when the pipe is full, it must wait.
async function Process:wait() return await check_self(self, "wait"):wait() end

--- child:kill([signal]) -> boolean
--
-- Sends a signal, a name or a number (`"SIGTERM"`); to its whole group if it
-- has `new_group`, `detached` or `pty`. Gives false if the child has ended.
function Process:kill(signal) return check_self(self, "kill"):kill(signal) end

--- child:closed() -> boolean
--
-- Whether it was closed or has ended.
function Process:closed() return check_self(self, "closed"):closed() end

--- child:resize(rows, cols)
--
-- Sets the size of its terminal, which tells it (SIGWINCH).
function Process:resize(rows, cols)
  check_self(self, "resize")
  if not self._pty then misuse("resize", "it has no terminal") end
  arguments.check("resize", "rows", rows, dimension)
  arguments.check("resize", "cols", cols, dimension)
  self._child:resize(net._fileno(self.stdin), rows, cols)
end

local function close_streams(self)
  for _, name in ipairs(names) do
    if self[name] then self[name]:close() end
  end
end

--- child:close()
--
-- Closes the streams and, unless it has ended or is `detached`, kills it
-- (SIGKILL) without waiting. Whoever waits in it gets an error. The end of a
-- scope (`local child <close>`) is gentler: it closes `stdin`, does what
-- `stop` does, then closes the others. A Process that is collected is closed.
function Process:close()
  check_self(self, "close"):close()
  close_streams(self)
end

local function wait_for(child) return await child:wait "stop" end

local function wait_within(child, seconds)
  local _ <close> = asyncio.timeout(seconds)
  return wait_for(child)
end

-- SIGTERM, and SIGKILL when the time is over or the task cancelled.
local function stop(child, grace)
  if child:closed() then return wait_for(child) end
  child:_ending()
  child:kill("SIGTERM")
  local ok, e = asyncio.catch(wait_within, child, grace)
  if ok then return wait_for(child) end
  child:kill("SIGKILL")
  if asyncio.iserror(e, asyncio.TimeoutError) then return wait_for(child) end
  asyncio.catch(wait_for, child)
  error(e, 0)
end

--- async child:stop([grace]) -> status, signal
--
-- Ends it: SIGTERM, and SIGKILL if it is still there after `grace` seconds
-- (5). If the task is cancelled meanwhile, SIGKILL follows at once. What is
-- left of its group when it has ended is killed.
async function Process:stop(grace)
  local child = check_self(self, "stop")
  if grace ~= nil then
    arguments.check("stop", "grace", grace, arguments.seconds)
  end
  return stop(child, grace or GRACE)
end

-- The end of a scope: calls end_it(child), and closes all.
local function finish(self, end_it)
  if self.stdin and not self._pty then self.stdin:close() end
  if self._detached or self._child:closed() or not asyncio.current_task() then
    return self:close()
  end
  local ok, e = asyncio.catch(end_it, self._child)
  self:close()
  if not ok then error(e, 0) end
end

local function stop_gently(child) stop(child, GRACE) end

function Process:__close() finish(self, stop_gently) end

-- == Running to the end =================================================

-- A program need not read what it is given.
local gone = {EPIPE = true, ECONNRESET = true}

local function put(stream, input) await stream:write(input) end

local async function feed(stream, input)
  local ok, e = pcall(put, stream, input)
  stream:close()
  if not ok and not (asyncio.iserror(e) and gone[e.code]) then
    error(e, 0)
  end
end

local async function collect(stream, parts)
  for bytes in function() return await stream:read() end do
    parts[#parts + 1] = bytes
  end
end

-- What it says is told though reading fails or is cancelled.
local async function hear(stream, parts)
  pcall(function() await collect(stream, parts) end)
end

local function hear_within(seconds, stream, parts)
  local _ <close> = asyncio.timeout(seconds)
  await collect(stream, parts)
end

-- Ends the child, whose last words are taken: it might wait for that.
local function stop_hearing(self, grace, captured)
  do
    local group <close> = asyncio.TaskGroup()
    for name, parts in pairs(captured) do
      group:create_task(hear(self[name], parts))
    end
    local _ <close> = asyncio.defer(function() group:cancel() end)
    stop(self._child, grace)
  end
  for name, parts in pairs(captured) do
    pcall(hear_within, 0, self[name], parts) -- what is there without waiting
  end
end

local function communicate(child, input, captured)
  local jobs = {child:wait()}
  if input then jobs[#jobs + 1] = feed(child.stdin, input) end
  for name, parts in pairs(captured) do
    jobs[#jobs + 1] = collect(child[name], parts)
  end
  await asyncio.gather(table.unpack(jobs))
end

local function communicate_within(seconds, ...)
  local _ <close> = asyncio.timeout(seconds)
  communicate(...)
end

-- The options of spawn for those of run.
local function streams_of(options)
  if options.input and options.stdin then
    misuse("run", "input and stdin exclude each other")
  elseif options.stdin == "pipe" then
    misuse("run", "stdin is 'pipe', for which there is input")
  end
  local all = {}
  for key, value in pairs(options) do all[key] = value end
  local output = options.capture == false and "inherit" or "pipe"
  all.stdin = options.stdin or (options.input and "pipe" or "null")
  all.stdout = options.stdout or output
  all.stderr = options.stderr or output
  return all
end

-- Gives the error of that class what is known of the run, and raises it.
local function raise(class, message, code, about)
  local e = class.new(message, {code = code})
  for key, value in pairs(about) do e[key] = value end
  error(e, 0)
end

local function last_line(text)
  local line = text and text:match "([^\r\n]+)%s*$"
  if not line then return "" end
  return ": " .. (#line > 200 and line:sub(1, 200) .. "..." or line)
end

local function result_of(captured, status, signal)
  local result = {status = status, signal = signal}
  for name, parts in pairs(captured) do result[name] = table.concat(parts) end
  return result
end

local function check_result(argv, result)
  if result.status == 0 then return end
  local how = result.signal or ("exit status %d"):format(result.status)
  result.argv = argv
  raise(process.ProcessError, ("run %s: %s%s"):format(argv[1], how,
    last_line(result.stderr)), nil, result)
end

--- async process.run(argv [, options]) -> result
--
-- Runs a program to its end. The result is a table:
--
-- - `status`: what it returned, 0 if all went well; nil if a signal ended it;
-- - `signal`: the name of that signal, such as `"SIGKILL"`, or nil;
-- - `stdout`, `stderr`: what it wrote, as strings (nil if not captured).
--
-- The run is over when the program has ended and what it wrote is read to the
-- end: a program that it left behind, and that has its output, delays that.
-- Options, beside those of `spawn` but `pty` and `detached`:
--
-- - `input`: a string for its standard input, which is then closed. Without it
--   (and without `stdin`) there is nothing to read.
-- - `capture`: false lets it write to our own streams (true); true and false
--   may be refined by `stdout=` and `stderr=`, for example `stderr="stdout"`.
-- - `check`: true raises a `ProcessError` if it was not successful (false).
-- - `timeout`: seconds; then it is ended and an `asyncio.TimeoutError` raised,
--   whose `e.stdout` and `e.stderr` are what it has written until its end.
-- - `grace`: seconds between asking it to end (SIGTERM) and ending it
--   (SIGKILL), after a timeout or a cancellation (5).
--
-- When the task is cancelled, the child is ended in the same way, before the
-- cancellation goes on; cancelling once more ends it at once.
--
-- ```lua
-- local process = require "neap.process"
-- local ok, e = pcall(function()
--   local argv = {"sh", "-c", "echo no >&2; exit 3"}
--   return await process.run(argv, {check = true})
-- end)
-- print(e.name, e.message, e.status, e.stderr)
-- --> ProcessError	run sh: exit status 3: no	3	no
-- -->
-- local r = await process.run {"sh", "-c", "kill -9 $$"}
-- print(r.status, r.signal)
-- --> nil	SIGKILL
-- ```
async function process.run(argv, options)
  local list = arguments_of("run", argv)
  options = arguments.options("run", options, run_options)
  local seconds, grace = options.timeout, options.grace or GRACE
  if seconds == math.huge then seconds = nil end
  local all = streams_of(options)
  local child, captured = start("run", list, all), {}
  if all.stdout == "pipe" then captured.stdout = {} end
  if all.stderr == "pipe" then captured.stderr = {} end
  local function stop_it() stop_hearing(child, grace, captured) end
  local _ <close> = asyncio.defer(function() finish(child, stop_it) end)
  if seconds then
    local ok, e = pcall(communicate_within, seconds, child, options.input,
      captured)
    if not ok and asyncio.iserror(e, asyncio.TimeoutError) then
      stop_it()
      raise(asyncio.TimeoutError, ("run %s: timed out"):format(argv[1]),
        "ETIMEDOUT", result_of(captured))
    elseif not ok then
      error(e, 0)
    end
  else
    communicate(child, options.input, captured)
  end
  local result = result_of(captured, await child:wait())
  if options.check then check_result(argv, result) end
  return result
end

-- == Signals ============================================================

local Signals = {__name = "Signals"}
Signals.__index = Signals

async function Signals:next()
  if self._closed then return nil end
  local box = self._box
  local function get() return await box.queue:get() end
  local ok, name = pcall(get)
  if ok then
    box.pending[name] = nil
    return name
  end
  if not asyncio.iserror(name, asyncio.QueueShutDown) then error(name, 0) end
end

Signals.__call = function(self) return await self:next() end
Signals.__await = itself -- `for name in await process.signals(...)`

function Signals:close()
  if self._closed then return end
  self._closed = true
  for _, watch in ipairs(self._watches) do watch:close() end
  self._box.queue:shutdown(true)
end

Signals.__close = Signals.close

function Signals:closed() return self._closed == true end

-- For asyncio.dump_tasks.
function Signals:_describe() return table.concat(self._names, ", ") end

-- What listens does not hold the iterator, so that this can be collected.
local function listen(self, signal)
  local box, name = self._box, nil
  local function on_signal()
    if box.pending[name] then return end
    box.pending[name] = true
    box.queue:put_nowait(name)
  end
  local ok, watch, _, text = pcall(core.watch, signal, on_signal, "signals",
    true)
  if not ok then
    self:close()
    error(watch, 0)
  end
  name = text
  self._watches[#self._watches + 1] = watch
  self._names[#self._names + 1] = name
end

--- process.signals(name, ...) -> iterator
--
-- `for name in process.signals("SIGTERM", "SIGINT") do`: the names of the
-- signals as they come, in place of what they usually do. From the call on,
-- none is lost, but several of one kind that come before they are asked for
-- may count as one. At the end of the loop they do again what they did before.
--
-- It may also be kept: `local signals <close> = process.signals("SIGHUP")`,
-- then `await signals:next()`; `signals:close()` ends a loop over it, and
-- `signals:closed()` tells whether it was closed. Any number of iterators, and
-- a handler of `loop:add_signal_handler`, may listen to one signal: all are
-- told. SIGKILL and SIGSTOP cannot be listened to.
--
-- ```lua
-- local process = require "neap.process"
-- local usr1 <close> = process.signals "SIGUSR1"
-- process.kill(process.pid, "SIGUSR1")
-- print(await usr1:next())
-- --> SIGUSR1
-- ```
function process.signals(...)
  local signals = {...}
  local self = setmetatable({_watches = {}, _names = {}}, Signals)
  self._box = {queue = asyncio.Queue(), pending = {}}
  if #signals == 0 then misuse("signals", "needs names of signals") end
  for i = 1, select("#", ...) do listen(self, signals[i]) end
  return self, nil, nil, self
end

-- == Our own streams ====================================================

--- process.stdin, process.stdout, process.stderr
--
-- Streams with the operations of [net's](net.md#stream), whatever is behind
-- them: a terminal, a pipe, a socket or a file. Each is made when it is first
-- used. They are beside Lua's own `io.stdin` and `io.stdout`: what those have
-- read or not yet written (`io.stdout:flush()`) is theirs. Closing one does
-- not close the descriptor of the process.
--
-- ```lua
-- local process = require "neap.process"
-- await process.stdout:write("one\n", "two\n")
-- --> one
-- --> two
-- ```
local function standard(number, name)
  if number > 0 then io[name]:flush() end
  local opened = core.standard(number, name)
  if type(opened) == "number" then return net._open_fd(opened, name) end
  require "neap.process.file"
  return opened
end

setmetatable(process, {
  __index = function(t, key)
    for i, name in ipairs(names) do
      if key == name then
        t[name] = standard(i - 1, name)
        return t[name]
      end
    end
  end,
})

return process
