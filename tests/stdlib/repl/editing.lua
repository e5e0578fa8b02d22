-- History, search and completion.

local open = dofile "tests/stdlib/repl/terminal/screen.lua"

local function scratch()
  local pipe = assert(io.popen "mktemp -d")
  local path = pipe:read "l"
  pipe:close()
  return path, asyncio.defer(function() os.execute("rm -r " .. path) end)
end

test("the history outlives the session", async function()
  local directory, _ <close> = scratch()
  local path = directory .. "/history"
  local env = {NEAP_HISTORY = path}
  do
    local t <close> = open{env = env}
    t:enter "first = 1"
    t:enter "first = 1"
    t:enter "do"
    t:enter "second = '\\\\' end"
    t:prompt()
    t:type "\4"
    equal(t:ends(), 0)
  end
  local file <close> = assert(io.open(path))
  equal(file:read "a", "first = 1\ndo\\nsecond = '\\\\\\\\' end\n")
  local pipe <close> = assert(io.popen("stat -c %a " .. path))
  equal(pipe:read "l", "600")
  local t <close> = open{env = env}
  t:prompt()
  t:type "\27[A"
  t:at "second = '\\\\' end"
  t:see "> do\nsecond = '\\\\' end"
  t:type "\n"
  t:enter "second"
  t:see '"\\\\"'
end)

test("a history that cannot be written is none", async function()
  for _, path in ipairs{"/nonexistent/history", "/"} do
    local t <close> = open{env = {NEAP_HISTORY = path}}
    t:enter "1 + 1"
    t:see "\n2\n"
  end
end)

test("Ctrl-R searches it", async function()
  local t <close> = open()
  t:enter "alpha = 'one'"
  t:enter "beta = 'two'"
  t:prompt()
  t:type "\18"
  t:see "bck:"
  t:type "alp"
  t:see "bck:alp"
  t:type "\27\n"
  t:enter "alpha"
  t:see '"one"'
end)

test("a search does not stop the tasks", async function()
  local t <close> = open()
  -- It ticks until the search is there, however slow that is.
  t:enter "async function tick() while true do await asyncio.sleep(0.1)"
  t:enter "n = (n or 0) + 1 print('tick ' .. n) end end"
  t:enter "first = 1"
  t:enter "ticks = asyncio.create_task(tick())"
  t:prompt()
  t:type "\18"
  t:see "bck:"
  t:type "fir"
  t:see "bck:fir"
  local seen = tonumber(t:text():match ".*tick (%d+)") or 0
  t:see("\ntick " .. seen + 2 .. "\n")
  t:see "bck:fir"
end)

test("Tab completes names, fields and methods", async function()
  local t <close> = open()
  t:put "asynci"
  t:type "\t"
  t:at "> asyncio"
  t:type ".crea"
  t:at "> asyncio.crea"
  t:type "\t"
  t:at "> asyncio.create_task"
  t:type "\3"
  t:see "^C\n"
  t:enter "s = 'abc'"
  t:put "s:up"
  t:type "\t"
  t:at "> s:upper"
  t:type "()\n"
  t:see '"ABC"'
  t:enter "x = {alpha = 1, alter = {deep = 2}}"
  t:put "x.al"
  t:type "\t"
  t:see "alpha  alter\n> x.al"
  t:type "t"
  t:at "> x.alt"
  t:type "\t"
  t:at "> x.alter"
  t:type ".d"
  t:at "> x.alter.d"
  t:type "\t"
  t:at "> x.alter.deep"
end)

test("Tab runs nothing of the program's", function()
  local complete = require "neap.repl.complete"
  local ran = 0
  local function run()
    ran = ran + 1
    return pairs {beta = {}}
  end
  local x = setmetatable({alpha = 1}, {__index = run})
  local y = setmetatable({}, {__index = run, __pairs = run})
  local env = setmetatable({x = x, y = y, asyncio = asyncio}, {__index = run})
  equal(complete.find("x.al", env), {"alpha"})
  for _, text in ipairs {"x.beta.", "x:b", "y.b", "y.beta.", "z.", "z"} do
    equal(complete.find(text, env), {})
  end
  equal(ran, 0)
  equal(complete.find("asyncio.create_t", env), {"create_task"})
end)

test("Tab completes the names of modules", async function()
  local t <close> = open()
  t:put "require 'neap.p"
  t:type "\t"
  t:see "neap.process  neap.ps\n> require 'neap.p"
  t:type "\3"
  t:see "^C\n"
  t:put "require 'neap.asyncio.qu"
  t:type "\t"
  t:at "> require 'neap.asyncio.queues"
end)

test("Tab is a tab behind blanks", async function()
  local t <close> = open()
  t:prompt()
  t:type "\t#'\t' + 1\n"
  t:see "\n2\n"
end)
