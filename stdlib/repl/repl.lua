--[[
repl.lua - require "neap.repl": a session at a prompt.

A session reads lines from a front: the terminal, whose line editor is in C
(neap.repl.core), or a stream. Each chunk runs in a task of its own.
]]

local core = require "neap.repl.core"
local chunk = require "neap.repl.chunk"
local show = require "neap.repl.show"
local asyncio = require "neap.asyncio"

local repl = {format = show.value}

-- == History ============================================================

local HISTORY = 1000

local function history_path()
  local path = os.getenv "NEAP_HISTORY"
  if path then return path ~= "" and path or nil end
  local home = os.getenv "HOME"
  return home and home .. "/.neap_history"
end

local function escape(text)
  return (text:gsub("\\", "\\\\"):gsub("\n", "\\n"))
end

local function unescape(text)
  return (text:gsub("\\(.)", function(c) return c == "n" and "\n" or c end))
end

-- Gives the editor what the file has, and keeps the file short.
local function load_history(editor, path)
  local file = path and io.open(path, "rb")
  local text = file and file:read "a" -- not of a directory
  if file then file:close() end
  local lines = {}
  for line in (text or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
  local first = math.max(1, #lines - HISTORY + 1)
  for i = first, #lines do editor:_remember(unescape(lines[i])) end
  if #lines > 2 * HISTORY then
    local new = path .. ".new"
    os.remove(new)
    if core.append(new, table.concat(lines, "\n", first) .. "\n") then
      os.rename(new, path)
    end
  end
end

-- == The terminal =======================================================

-- An object of our own, which nobody else sees.
local function make(self, methods)
  for name, f in pairs(methods) do self[name] = f end
  return self
end

local Terminal = {is_main = true}

local function is_set(name)
  local value = os.getenv(name)
  return value ~= nil and value ~= ""
end

local function new_terminal(env)
  local editor = core.editor()
  if not editor then return nil end
  local term = os.getenv "TERM"
  local self = make({
    editor = editor, env = env, history = history_path(),
    colour = term ~= nil and term ~= "" and term ~= "dumb"
      and not is_set "NO_COLOR",
  }, Terminal)
  core.terminal(true)
  load_history(editor, self.history)
  return self
end

function Terminal:columns() return self.editor:_columns() end

function Terminal:write(text)
  io.stdout:write(text)
  io.stdout:flush()
end

function Terminal:complain(text)
  io.stdout:flush()
  io.stderr:write(text)
end

local function complete_line(self, line, cursor)
  local complete = require "neap.repl.complete"
  local list, typed = complete.find(line:sub(1, cursor), self.env)
  local common = complete.common(list)
  if #list > 1 and #common == typed then
    self.editor:_print(complete.columns(list, self:columns()))
  end
  self.editor:_insert(#common > typed and common:sub(typed + 1) or nil)
end

-- An interrupt cancels us; it is over when the line is given up.
local function took_cancel()
  asyncio.current_task():uncancel()
end

-- Between two \1 stands what takes no room, which is the colours. libedit
-- drops those that nothing follows, so they go before the last character.
local function mark_colours(prompt)
  local text, last, off = prompt:match("^(.*)(" .. utf8.charpattern ..
    ")(\27%[[%d;]*m)$")
  if text then prompt = text .. off .. last end
  return (prompt:gsub("\27%[[%d;]*m", "\1%0\1"):gsub("\1\1", ""))
end

-- A line; nil at the end; false if it was given up.
function Terminal:read(prompt)
  local editor = self.editor
  if self.colour and not prompt:find "\27" then
    prompt = "\27[1m" .. prompt .. "\27[0m"
  end
  editor:_start(mark_colours(prompt))
  while true do
    local ok, what, text, cursor = asyncio.catch(await, editor:_next())
    if not ok then
      if self.exiting or editor:closed() then error(what, 0) end
      took_cancel()
      editor:_clear()
      return false
    elseif what == "line" then
      return text
    elseif what == "end" then
      return nil
    end
    local fine = asyncio.catch(complete_line, self, text, cursor)
    if not fine then
      took_cancel()
      editor:_clear()
      return false
    end
  end
end

function Terminal:give_up() self.editor:_clear() end

function Terminal:remember(text)
  if text == self.last or not text:find "%S" then return end
  self.last = text
  self.editor:_remember(text)
  if self.history then core.append(self.history, escape(text) .. "\n") end
end

function Terminal:close()
  if self.editor:closed() then return end
  self.editor:close()
  core.terminal(false)
end

-- == A stream ===========================================================

-- What is printed there goes to the stream, not to our own stdout.
local Remote = {is_main = false, colour = false}

-- The other end is gone: the session is over.
local function attempt(self, method, ...)
  local stream = self.stream
  local ok, result = pcall(stream[method], stream, ...)
  if ok then ok, result = pcall(await, result) end
  if ok then return result end
  self.broken = result
  error(result, 0)
end

function Remote:columns() return 80 end
function Remote:write(text) attempt(self, "write", text) end
Remote.complain = Remote.write
function Remote:remember() end
function Remote:close() end

function Remote:read(prompt)
  self:write(prompt)
  local line = attempt(self, "read_line")
  return line and line:gsub("\r$", "")
end

local function remote_env(self, env)
  local own = {}
  function own.print(...)
    local texts = table.pack(...)
    for i = 1, texts.n do texts[i] = tostring(texts[i]) end
    self:write(table.concat(texts, "\t", 1, texts.n) .. "\n")
  end
  return setmetatable(own, {__index = env, __newindex = function(_, key, value)
    if rawget(own, key) ~= nil or tostring(key):find "^_%d*$" then
      rawset(own, key, value)
    else
      env[key] = value
    end
  end})
end

-- == A session ==========================================================

local Session = {}

local function prompt_of(self, name, default)
  local value = self.env[name]
  if value == nil then return default end
  local ok, text = pcall(tostring, value)
  return ok and #text < 200 and not text:find "\n" and text or default
end

-- The function of what was typed; or nil and a message or nothing. "end" at
-- the end.
local function read_chunk(self)
  local text
  while true do
    local line = self.front:read(
      text and prompt_of(self, "_PROMPT2", ">> ")
      or prompt_of(self, "_PROMPT", "> "))
    if not line then
      if line == nil and not text then return nil, "end" end
      if line == nil then self.front:write "\n" end
      return nil
    end
    text = text and text .. "\n" .. line or line
    local f, what = chunk.load(text, self.env)
    if f or what then
      self.front:remember(text)
      -- A single line stands right above its error.
      if self.front.is_main then
        core.keep_source(text:find "\n" and text or "")
      end
      return f, not f and self:error_text(what) or nil
    end
  end
end

-- Without our own frames, and with what is in a table that was raised.
function Session:error_text(e, task)
  local text, lines = core.error_text(e, task), {}
  -- Where the task of the line was spawned.
  if task then
    local own, causes = text:match "^(.-)(\ncaused by .*)$"
    text = (own or text):gsub("\n%s+spawned at [^\n]*$", "") .. (causes or "")
  end
  if type(e) == "table" and text:find "^%(error object" then
    local value = show.value(e, {width = self.front:columns()})
    text = "error: " .. value .. text:gsub("^[^\n]*", "", 1)
  end
  for line in (text .. "\n"):gmatch "(.-)\n" do
    if not line:find "^%s+.*stdlib/repl/" then lines[#lines + 1] = line end
  end
  if lines[#lines] == "stack traceback:" then lines[#lines] = nil end
  return table.concat(lines, "\n")
end

function Session:complain(text)
  local colour = self.front.colour and core.is_terminal(2)
  self.front:complain(show.paint("error", text, colour) .. "\n")
end

-- Waits until the task has ended. A cancellation of our own is one of it.
local function await_end(self, task)
  local cancelled
  while not task:done() do
    local ok, e = asyncio.catch(await, asyncio.wait{task})
    if not ok then
      cancelled = e
      task:cancel()
    end
  end
  if self.front.is_main then core.set_main(asyncio.current_task()) end
  if not cancelled then return end
  if not self.front.is_main then error(cancelled, 0) end
  took_cancel()
end

local function keep(self, values)
  local env = self.env
  env._ = values[1]
  for i = 2, math.max(values.n, self.kept) do env["_" .. i] = values[i] end
  self.kept = values.n
end

local function show_values(self, values)
  keep(self, values)
  self.front:write(show.values(values, {
    width = self.front:columns(), colour = self.front.colour,
  }) .. "\n")
  if values.n == 1 and asyncio.iscoroutine(values[1]) then
    self.front:write(show.paint("dim", "(await _ runs it)",
                                self.front.colour) .. "\n")
  end
end

local function run_chunk(self, f)
  local task = core.spawn(f, "stdin")
  if self.front.is_main then core.set_main(task) end
  await_end(self, task)
  if task:cancelled() then return self:complain "cancelled" end
  local e = task:exception()
  if e ~= nil then return self:complain(self:error_text(e, task)) end
  local values = table.pack(task:result())
  if values.n > 0 then show_values(self, values) end
end

-- What was dropped is reported now, not some lines later.
local function tidy()
  if collectgarbage "count" < 16384 then collectgarbage() end
end

-- Reads a chunk and runs it; true at the end.
local function step(self)
  local f, message = read_chunk(self)
  if message == "end" then return true end
  if f then
    run_chunk(self, f)
    f = nil
    tidy()
  elseif message then
    self:complain(message)
  end
end

-- Gives f(self). An interrupt may come at any moment, and not only while
-- something waits: at the terminal it gives up what is being done.
local function guarded(self, f)
  local ok, result = asyncio.catch(f, self)
  if ok then return result end
  local front = self.front
  if not front.is_main or front.exiting
     or not asyncio.iserror(result, asyncio.CancelledError) then
    error(result, 0)
  end
  took_cancel()
  front:give_up()
end

-- Until the end. The second guard is for an interrupt in the first one.
local function loop(self)
  local function all()
    while not guarded(self, step) do end
    self.front:write "\n"
    return true
  end
  while not guarded(self, all) do end
end

local function with_help(self)
  if self.env.help ~= nil then return end
  self.env.help = setmetatable({}, {
    __name = "help",
    __call = function(_, ...)
      self.front:write(require "neap.repl.help".text(...) .. "\n")
    end,
    __tostring = function() return "help() tells how to use this prompt" end,
  })
  self.own_help = self.env.help
end

-- The terminal must be itself again when the program ends in a line.
local function guard_exit(front)
  local exit = os.exit
  local function guarded(...)
    front.exiting = true
    front:close()
    return exit(...)
  end
  os.exit = guarded
  return asyncio.defer(function()
    if os.exit == guarded then os.exit = exit end
    front:close()
  end)
end

local known = {stream = true, env = "table", banner = "string"}

local function check_options(options)
  if options == nil then return {} end
  if type(options) ~= "table" then
    error(("options of repl.run must be a table, not a %s")
      :format(type(options)), 3)
  end
  for name, value in pairs(options) do
    if not known[name] then
      error(("unknown option '%s' for repl.run"):format(tostring(name)), 3)
    elseif known[name] ~= true and type(value) ~= known[name] then
      error(("option '%s' of repl.run must be a %s, not a %s")
        :format(name, known[name], type(value)), 3)
    end
  end
  return options
end

--- async repl.run([options]) -> boolean
--
-- Holds a session until its end. Options:
--
-- - `stream`: something with `read_line` and `write` as the streams of
--   [net](net.md#stream) have them. Without it the session is at the terminal,
--   with an editor; if stdin or stdout is none, `run` gives false at once.
-- - `env`: the table in which lines run (`_G`).
-- - `banner`: a text that is shown first.
--
-- At the terminal an interrupt (Ctrl-C) goes to the line that runs; a host has
-- to see to that (`terminal` in its `neap_Options`), neap does. Over a stream
-- there are no editing, no colours and no interrupts; `print` in a line writes
-- to the stream, `_` belongs to the session, and other globals to `env`. Such a
-- session ends when the other side shuts down or is gone and the line that runs
-- has ended. Cancelling the task of a session cancels the line that it runs.
--
-- **Whoever reaches such a stream can do whatever your program can.** Use a
-- Unix socket in a directory of your own, not a port.
-- `scripts/repl_server.lua` shows how.
async function repl.run(options)
  options = check_options(options)
  -- What has never awaited is a plain program, which an interrupt ends at once;
  -- here it is to be seen where the session waits.
  await asyncio.sleep(0)
  local env = options.env or _G
  local front
  if options.stream then
    front = make({stream = options.stream}, Remote)
    env = remote_env(front, env)
  else
    front = new_terminal(env)
    if not front then return false end
  end
  local self = make({front = front, env = env, kept = 0}, Session)
  local _ <close> = front.is_main and guard_exit(front) or nil
  with_help(self)
  local ok, e = asyncio.catch(function()
    if options.banner then front:write(options.banner .. "\n") end
    loop(self)
  end)
  -- Of a program that exits the terminal is closed, whatever we are at.
  local over = front.exiting or front.broken ~= nil and front.broken == e
  if not ok and not over then error(e, 0) end
  if self.own_help and env.help == self.own_help then env.help = nil end
  return true
end

return repl
