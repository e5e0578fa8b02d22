-- What tracebacks show of the library: what the script has called.

local fs = require "neap.fs"
local net = require "neap.net"

local HERE = "^tests/stdlib/asyncio/tracebacks.lua:%d+: in "

local function error_of(f)
  local ok, e = pcall(f)
  assert(not ok)
  return e
end

-- The lines of a traceback of an Error that f raises, without its first.
local function lines_of(f)
  local lines = {}
  for line in error_of(f).traceback:gmatch "\n\t([^\n]*)" do
    lines[#lines + 1] = line
  end
  return lines
end

test("what the library calls inside of itself is no line", function()
  local lines = lines_of(function()
    for _ in fs.walk "/nonexistent" do end
  end)
  assert(lines[1] == "[neap]: in for iterator 'for iterator'", lines[1])
  assert(lines[2]:find(HERE), lines[2])
  for _, line in ipairs(lines) do assert(not line:find "^stdlib/", line) end
end)

test("an async function of the library is named", function()
  local lines = lines_of(function() await fs.read_file "/nonexistent" end)
  assert(lines[1] == "[neap]: in async function 'read_file'", lines[1])
  assert(lines[2]:find(HERE), lines[2])
end)

test("what has no name but a place is left out", async function()
  local text
  local server = net.listen{}
  local serving = asyncio.create_task(server:serve(function()
    text = error_of(function() error(asyncio.Error.new "own") end).traceback
    server:close()
  end))
  local _ <close> = await net.connect("127.0.0.1", server:sockname().port)
  await serving
  assert(not text:find("net.lua", 1, true), text)
  assert(select(2, text:gsub("tracebacks.lua:", "")) > 1, text)
end)

test("what the library calls back is between its lines", async function()
  local seen
  local function handler(entry)
    error(asyncio.Error.new("not " .. entry.code))
  end
  local lines = lines_of(function()
    local options = {on_error = handler}
    for _ in fs.walk("/nonexistent", options) do end
  end)
  assert(lines[1]:find(HERE) and lines[3]:find(HERE), lines[3])
  assert(lines[2] == "[neap]: in for iterator 'for iterator'", lines[2])
end)

test("a C function that the script has called is a line", function()
  local lines = lines_of(function()
    table.sort({1, 2}, function() error(asyncio.Error.new "own") end)
  end)
  local text = table.concat(lines, "\n")
  assert(text:find("[C]: in function 'table.sort'", 1, true), text)
end)

test("a task of the library alone has a line for it", function()
  local task = asyncio.create_task(fs.read_file "/nonexistent")
  await asyncio.wait {task}
  local text = task:traceback()
  assert(task:exception().code == "ENOENT")
  assert(text:find "^stack traceback:\n\t%[neap%]: in async function " and
    text:find "\n\tspawned at tests/", text)
end)

test("debug mode shows every line", function()
  local loop = asyncio.get_running_loop()
  local was = loop:get_debug()
  loop:set_debug(true)
  local _ <close> = asyncio.defer(function() loop:set_debug(was) end)
  local lines = lines_of(function()
    for _ in fs.walk "/nonexistent" do end
  end)
  assert(lines[1] == "[C]: in async function '_batch'", lines[1])
  assert(lines[2]:find "^stdlib/fs/walk.lua:%d+: in ", lines[2])
end)
