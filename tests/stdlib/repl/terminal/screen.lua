--[[
screen.lua - a terminal for tests: neap behind a pseudo-terminal, and what a
person would see of it.

  local t <close> = open{rows=, cols=, env={}, argv={}, after=}
                      `after` is for the shell, when neap has ended
  t:see(text)         waits until the screen has the text
  t:at(text)          waits until the cursor's line is the text, to the cursor
  t:prompt()          the same for a prompt with nothing behind it
  t:put(text)         waits for a prompt, types the text and sees it
  t:enter(line)       the same, and Enter
  t:type(text)        keys, as bytes, without waiting for anything
  t:text()            the screen's lines, without blanks at their ends
  t:ends()            waits for the program's end; gives its status

Every step waits for what it needs to see, however slow the machine is.

It knows what libedit sends to an xterm. Lines that have left the screen at
its top are kept: text() has them too.
]]

local process = require "neap.process"

local Screen = {}
Screen.__index = Screen

local function new_screen(rows, cols)
  return setmetatable({rows = rows, cols = cols, lines = {{}}, top = 1,
                       left = {}, row = 1, col = 1, pending = ""}, Screen)
end

local function is_wide(code)
  return code >= 0x1100 and code <= 0x115F or code >= 0x2E80 and code <= 0xFFDC
end

function Screen:line()
  while #self.lines < self.row do self.lines[#self.lines + 1] = {} end
  self.top = math.max(self.top, #self.lines - self.rows + 1)
  return self.lines[self.row]
end

function Screen:put(character)
  local width = #character > 1 and is_wide(utf8.codepoint(character)) and 2
    or 1
  if self.col + width - 1 > self.cols then
    self.row, self.col = self.row + 1, 1
  end
  local line = self:line()
  for i = #line + 1, self.col do line[i] = " " end
  line[self.col] = character
  if width == 2 then line[self.col + 1] = "" end
  self.col = self.col + width
end

local function erase(line, first, last)
  for i = first, math.min(last, #line) do line[i] = " " end
end

local control = {}

function control.A(s, n) s.row = math.max(s.top, s.row - math.max(n, 1)) end
function control.B(s, n) s.row = s.row + math.max(n, 1) end
function control.C(s, n) s.col = math.min(s.cols, s.col + math.max(n, 1)) end
function control.D(s, n) s.col = math.max(1, s.col - math.max(n, 1)) end
function control.G(s, n) s.col = math.max(n, 1) end
function control.K(s) erase(s:line(), s.col, math.huge) end
function control.X(s, n) erase(s:line(), s.col, s.col + math.max(n, 1) - 1) end
function control.m() end
function control.h() end
function control.l() end

function control.H(s) s.row, s.col = s.top, 1 end

function control.J(s, n)
  if n == 2 then
    for i = s.top, #s.lines do s.lines[i] = {} end
    return
  end
  erase(s:line(), s.col, math.huge)
  for i = s.row + 1, #s.lines do s.lines[i] = {} end
end

control["@"] = function(s, n)
  local line = s:line()
  for i = #line + 1, s.col - 1 do line[i] = " " end
  for _ = 1, math.max(n, 1) do table.insert(line, s.col, " ") end
  for i = #line, s.cols + 1, -1 do line[i] = nil end
end

function control.P(s, n)
  local line = s:line()
  for _ = 1, math.max(n, 1) do
    if line[s.col] then table.remove(line, s.col) end
  end
end

-- Takes one character or sequence from the front of the text, or several
-- plain characters; gives where the next begins, false if it is not complete.
function Screen:take(text)
  local plain = text:match "^[ -~]+"
  if plain then
    for i = 1, #plain do self:put(plain:sub(i, i)) end
    return #plain + 1
  end
  local c = text:sub(1, 1)
  if c == "\27" then
    local arguments, final, stop = text:match "^\27%[([%d;?]*)([%a@])()"
    if not final then return false end
    local act = control[final] or error("screen: unknown " .. ("%q"):format(
      text:sub(1, stop - 1)))
    act(self, tonumber(arguments:match "%d+") or 0)
    return stop
  elseif c == "\r" then
    self.col = 1
  elseif c == "\n" then
    self.row = self.row + 1
    self:line()
  elseif c == "\b" then
    self.col = math.max(1, self.col - 1)
  elseif c == "\t" then
    self.col = math.min(self.cols, (self.col - 1) // 8 * 8 + 9)
  elseif c:byte() >= 32 then
    local character = text:match(utf8.charpattern)
    if #character < (c:byte() >= 0xE0 and 3 or c:byte() >= 0xC0 and 2 or 1) then
      return false
    end
    self:put(character)
    return #character + 1
  end
  return 2
end

function Screen:feed(text)
  text = self.pending .. text
  local at = 1
  while at <= #text do
    local stop = self:take(text:sub(at, at + 40))
    if not stop then break end
    at = at + stop - 1
  end
  self.pending = text:sub(at)
end

-- Lines that have left the screen stay as they are.
function Screen:text()
  local lines, left = {}, self.left
  for i, line in ipairs(self.lines) do
    if not left[i] then
      for j = 1, #line do line[j] = line[j] or " " end
      lines[i] = table.concat(line):gsub("%s+$", "")
      if i < self.top then left[i] = lines[i] end
    else
      lines[i] = left[i]
    end
  end
  return (table.concat(lines, "\n"):gsub("%s+$", ""))
end

-- What is between the left edge and the cursor.
function Screen:before_cursor()
  local line = self:line()
  for i = 1, self.col - 1 do line[i] = line[i] or " " end
  return table.concat(line, "", 1, self.col - 1)
end

-- What of a text that was put from the left edge on is in its last row.
function Screen:last_row(text)
  local start, used = 1, 0
  for at, code in utf8.codes(text) do
    local width = is_wide(code) and 2 or 1
    if used + width > self.cols then start, used = at, 0 end
    used = used + width
  end
  return used == self.cols and "" or text:sub(start)
end

-- == The program behind it ==============================================

local Terminal = {}
Terminal.__index = Terminal

local interpreter = os.getenv "NEAP"
if not interpreter or interpreter == "" then
  local first = -1
  while arg[first - 1] do first = first - 1 end
  interpreter = arg[first]
end

local function open(options)
  options = options or {}
  local rows, cols = options.rows or 24, options.cols or 80
  local env = {
    TERM = "xterm", PATH = os.getenv "PATH", LC_ALL = "C.UTF-8",
    HOME = "/nonexistent", NEAP_HISTORY = "", NO_COLOR = "1",
    ASAN_OPTIONS = os.getenv "ASAN_OPTIONS",
  }
  for name, value in pairs(options.env or {}) do env[name] = value end
  local argv = {interpreter, table.unpack(options.argv or {})}
  if options.after then
    argv = {"sh", "-c", '"$@"; ' .. options.after, "sh", table.unpack(argv)}
  end
  local child = process.spawn(argv,
    {pty = true, rows = rows, cols = cols, env = env})
  local self = setmetatable({
    child = child, screen = new_screen(rows, cols), raw = "",
    changed = asyncio.Event(),
  }, Terminal)
  self.reader = asyncio.create_task((async function()
    while true do
      local ok, text = pcall(function() return await child.stdout:read() end)
      if not ok or not text then break end
      self.raw = self.raw .. text
      self.screen:feed(text)
      self.changed:set()
    end
    self.ended = true
    self.changed:set()
  end)())
  return self
end

-- The Enter key sends a carriage return.
function Terminal:type(text)
  await self.child.stdin:write((text:gsub("\n", "\r")))
end

function Terminal:text() return self.screen:text() end

local function wait_until(self, what, is_there)
  local function come()
    while not is_there() do
      if self.ended then error "the program has ended" end
      self.changed:clear()
      await self.changed:wait()
    end
  end
  local ok, e = asyncio.catch(come)
  if ok then return end
  -- The test has taken too long, or there is nothing left to wait for.
  io.stderr:write(("the screen never had %s:\n%s\n"):format(what, self:text()))
  error(e, 0)
end

function Terminal:see(text)
  wait_until(self, ("%q"):format(text), function()
    return self:text():find(text, 1, true)
  end)
end

function Terminal:at(text)
  wait_until(self, ("the cursor behind %q"):format(text), function()
    return self.screen:before_cursor() == text
  end)
end

-- A prompt with nothing behind it; gives which of the two.
function Terminal:prompt()
  local row
  wait_until(self, "a prompt", function()
    row = self.screen:before_cursor()
    return row == "> " or row == ">> "
  end)
  return row
end

-- Behind a new prompt; gives how that row then looks.
function Terminal:put(text)
  local row = self.screen:last_row(self:prompt() .. text)
  self:type(text)
  self:at(row)
  return row
end

-- The text is seen before Enter is pressed, and Enter has been taken before
-- this ends, so that the next prompt is a new one.
function Terminal:enter(line)
  self:put(line)
  local row = self.screen.row
  self:type "\n"
  wait_until(self, "the end of the line", function()
    return self.screen.row > row
  end)
end

-- The last line of the screen.
function Terminal:last() return self:text():match "[^\n]*$" end

function Terminal:ends()
  local status = await self.child:wait()
  await self.reader
  return status
end

function Terminal:__close()
  self.child:kill("SIGKILL")
  await self.child:wait()
  self.child:close()
  await asyncio.wait{self.reader}
end

return open
