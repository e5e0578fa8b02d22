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
    t:see "\n>"
    t:key "first = 1\n"
    t:key "first = 1\n"
    t:key "do\n"
    t:key "second = '\\\\' end\n"
    t:key "\4"
    t:ends()
  end
  local file <close> = assert(io.open(path))
  equal(file:read "a", "first = 1\ndo\\nsecond = '\\\\\\\\' end\n")
  local pipe <close> = assert(io.popen("stat -c %a " .. path))
  equal(pipe:read "l", "600")
  local t <close> = open{env = env}
  t:see "\n>"
  t:key "\27[A"
  t:see "> do\nsecond = '\\\\' end"
  t:key "\n"
  t:key "second\n"
  t:see '"\\\\"'
end)

test("a history that cannot be written is none", async function()
  local t <close> = open{env = {NEAP_HISTORY = "/nonexistent/history"}}
  t:see "\n>"
  t:key "1 + 1\n"
  t:see "\n2\n"
end)

test("Ctrl-R searches it", async function()
  local t <close> = open()
  t:see "\n>"
  t:key "alpha = 'one'\n"
  t:key "beta = 'two'\n"
  t:key "\18"
  t:key "alp"
  t:see "bck:alp"
  t:key "\27\n"
  t:key "alpha\n"
  t:see '"one"'
end)

test("a search does not stop the tasks", async function()
  local t <close> = open()
  t:see "\n>"
  -- It ticks until the search is there, however slow that is.
  t:key("tick = asyncio.create_task((async function() while true do " ..
    "await asyncio.sleep(0.1) n = (n or 0) + 1 print('tick ' .. n) " ..
    "end end)())\n")
  t:key "first = 1\n"
  t:key "\18"
  t:see "bck:"
  t:key "fir"
  t:see "bck:fir"
  local seen = tonumber(t:text():match ".*tick (%d+)") or 0
  t:see("\ntick " .. seen + 2 .. "\n")
  t:see "bck:fir"
end)

test("Tab completes names, fields and methods", async function()
  local t <close> = open()
  t:see "\n>"
  t:key "asynci"
  t:key "\t"
  t:see "> asyncio"
  t:key ".crea"
  t:key "\t"
  t:see "> asyncio.create_task"
  t:key "\3"
  t:key "s = 'abc'\n"
  t:key "s:up"
  t:key "\t"
  t:see "> s:upper"
  t:key "()\n"
  t:see '"ABC"'
  t:key "x = {alpha = 1, alter = {deep = 2}}\n"
  t:key "x.al"
  t:key "\t"
  t:see "alpha  alter\n> x.al"
  t:key "t"
  t:key "\t"
  t:key ".d"
  t:key "\t"
  t:see "> x.alter.deep"
end)

test("Tab completes the names of modules", async function()
  local t <close> = open()
  t:see "\n>"
  t:key "require 'neap.asyncio.qu"
  t:key "\t"
  t:see "> require 'neap.asyncio.queues"
end)

test("Tab is a tab behind blanks", async function()
  local t <close> = open()
  t:see "\n>"
  t:key "\t#'\t' + 1\n"
  t:see "\n2\n"
end)
