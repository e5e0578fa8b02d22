-- Interrupts and broken pipes.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, equal, has = cli.test, cli.equal, cli.has

-- Starts the interpreter in the background. The table has what it wrote, by
-- lines; its number as a process; and at last its status.
local Job = {}
Job.__index = Job

local function start(what)
  local err = cli.path "stderr"
  what.env = (what.env or "") .. " exec"
  local pipe = assert(io.popen(("sh -c %s"):format(cli.quote(
    ("(echo $(sh -c 'echo $PPID'); %s 2>%s </dev/null); echo \"status $?\"")
      :format(cli.command(what), cli.quote(err))))))
  return setmetatable({pipe = pipe, pid = pipe:read "l", err = err}, Job)
end

function Job:line() return self.pipe:read "l" end

function Job:signal(name)
  return os.execute(("kill -%s %s 2>/dev/null"):format(name, self.pid))
end

-- What it writes until its end, its status, and its stderr.
function Job:finish()
  local rest = self.pipe:read "a"
  self.pipe:close()
  local out, status = rest:match "^(.*)status (%d+)\n$"
  return out, tonumber(status), cli.read(self.err)
end

local flush = "io.stdout:setvbuf 'line' "

test("an interrupt ends a loop that computes", function()
  local job = start{"-e", flush .. "print(1) while true do end"}
  equal(job:line(), "1")
  job:signal "INT"
  local out, status, err = job:finish()
  equal(out, "")
  has(err, cli.name .. ": interrupted!\nstack traceback:\n\t(command line):1: ")
  equal(status, cli.is_neap and 130 or 1)
end)

test("a program whose read is interrupted does not go on", function()
  local status, out, err = cli.run{"-e",
    "print(io.popen('kill -INT $PPID'):read 'a')"}
  equal(out, "")
  has(err, cli.name .. ": interrupted!\n")
  equal(status, cli.is_neap and 130 or 1)
end)

test("pcall stops the interrupt of a computation, as in lua", function()
  local job = start{"-e", flush
    .. "pcall(function() print(12) while true do end end) print(42)"}
  equal(job:line(), "12")
  job:signal "INT"
  local out, status = job:finish()
  equal(out, "42\n")
  equal(status, 0)
end)

test("a second interrupt ends what cannot be interrupted", function()
  local job = start{"-e", flush
    .. "print(15) string.find(string.rep('a', 100000), '.*b')"}
  equal(job:line(), "15")
  os.execute "sleep 0.3"
  local sent = 0
  while job:signal "INT" and sent < 100 do sent = sent + 1 end
  local out, status = job:finish()
  equal(out, "")
  equal(status, 130)
  assert(sent >= 2)
end)

test("whoever writes to a closed pipe ends", function()
  for _, text in ipairs{
    "while true do print 'some text' end",
    "while true do io.write('some text') end",
    "io.stdout:setvbuf 'no' while true do print 'x' end",
    "local s = ('x'):rep(100000) while true do print(s) end",
    "while true do pcall(print, 'x') end",
    "for i = 1, 100000 do print(i) end"} do
    local pipe = io.popen(("(%s 2>%s; echo \"status $?\" >%s) | head -c 1")
      :format(cli.command{"-e", text}, cli.path "stderr", cli.path "status"))
    pipe:read "a"
    pipe:close()
    local status = cli.read(cli.path "status")
    equal(status, "status 141\n")
    equal(cli.read(cli.path "stderr"), "")
  end
end)

test("programs that the script starts have the usual signals", function()
  local _, out = cli.run{"-e",
    "os.execute 'kill -PIPE $$; echo survived' "
    .. "os.execute 'kill -INT $$; echo survived'"}
  equal(out, "")
end)

if not cli.is_neap then cli.finish() return end

test("an interrupt reaches a coroutine or a callback that computes",
  function()
    for _, body in ipairs{
      "coroutine.wrap(function() while true do end end)()",
      "string.gsub('x', 'x', function() while true do end end)"} do
      local job = start{"-e", flush .. "print(1) " .. body}
      equal(job:line(), "1")
      job:signal "INT"
      local _, status, err = job:finish()
      has(err, "neap: interrupted!\n")
      equal(status, 130)
    end
  end)

test("the first broken pipe of stdout is an error that can be seen",
  function()
    local pipe = io.popen(("(sleep 0.2; %s 2>%s) | true"):format(
      cli.command{"-e", [[
        io.stdout:setvbuf "no"
        io.stderr:write(tostring(select(2, io.write "x")))
      ]]}, cli.path "stderr"))
    pipe:close()
    equal(cli.read(cli.path "stderr"), "Broken pipe")
  end)

test("an interrupt tells once where the main task was", function()
  local job = start{cli.script(flush .. [[
    local async function wait() await asyncio.sleep(100) end
    local function inner()
      local group <close> = asyncio.TaskGroup()
      group:create_task(wait())
      print "ready"
      await asyncio.gather(wait(), wait())
    end
    inner()]])}
  equal(job:line(), "ready")
  job:signal "INT"
  local _, status, err = job:finish()
  has(err, "neap: interrupted!\nstack traceback:\n")
  has(err, ":6: in local 'inner'\n")
  equal(select(2, err:gsub("stack traceback", "")), 1)
  equal(err:find "awaited at", nil)
  equal(status, 130)
end)

test("an interrupt cancels what waits, and clean-up runs", function()
  local job = start{cli.script(flush .. [[
    local _ <close> = asyncio.defer(function()
      await asyncio.sleep(0)
      print "cleaned"
    end)
    asyncio.create_task((async function()
      local _ <close> = asyncio.defer(function() print "other" end)
      await asyncio.sleep(100)
    end)())
    await asyncio.sleep(0)
    print "ready"
    pcall(function() await asyncio.sleep(100) end)
    print "not reached"]])}
  equal(job:line(), "ready")
  job:signal "INT"
  local out, status, err = job:finish()
  equal(out, "cleaned\nother\n")
  has(err, "neap: interrupted!\nstack traceback:\n")
  has(err, ":11: in main chunk\n")
  equal(status, 130)
end)

test("a second interrupt does not wait for the clean-up", function()
  local job = start{cli.script(flush .. [[
    local _ <close> = asyncio.defer(function()
      print "cleaning"
      await asyncio.sleep(100)
    end)
    print "ready"
    await asyncio.sleep(100)]])}
  equal(job:line(), "ready")
  job:signal "INT"
  equal(job:line(), "cleaning")
  job:signal "INT"
  local out, status = job:finish()
  equal(out, "")
  equal(status, 130)
end)

test("an interrupt ends LUA_INIT, -e and -l as well", function()
  cli.write(cli.path "waits.lua", flush .. "print(1) await asyncio.sleep(100)")
  for _, what in ipairs{
    {"-e", flush .. "print(1) await asyncio.sleep(100)", "-e", "print(2)"},
    {"-l", "waits", "-e", "print(2)",
      env = "LUA_PATH='" .. cli.path "?.lua" .. "'"},
    {"-e", "print(2)", env = "LUA_INIT=@" .. cli.path "waits.lua"}} do
    local job = start(what)
    equal(job:line(), "1")
    job:signal "INT"
    local out, status = job:finish()
    equal(out, "")
    equal(status, 130)
  end
end)

test("a script that catches its interrupt goes on", function()
  -- It has awaited before: else it would be interrupted as in Lua.
  local job = start{cli.script(flush .. [[
    await asyncio.sleep(0)
    print(1)
    local ok, e = asyncio.catch(function() await asyncio.sleep(100) end)
    asyncio.current_task():uncancel()
    print(ok, asyncio.iserror(e, asyncio.CancelledError))
    await asyncio.sleep(0)
    print "went on"]])}
  equal(job:line(), "1")
  job:signal "INT"
  local out, status, err = job:finish()
  equal(out, "false\ttrue\nwent on\n")
  equal(err, "")
  equal(status, 0)
end)

test("a script that cancels itself has failed", function()
  local status, out, err = cli.run{cli.script [[
    asyncio.current_task():cancel()
    await asyncio.sleep(0)
    print "not reached"]]}
  equal(out, "")
  has(err, "neap: ")
  has(err, "cancelled")
  equal(status, 1)
end)

cli.finish()
