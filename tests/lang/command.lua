-- The two words on the command line, on stdin, in -l and in LUA_INIT.

local neap = os.getenv "NEAP" or arg[-1]

local function run(command)
  command = command:gsub("NEAP", function() return neap end)
  local pipe = io.popen("{ " .. command .. "; } 2>&1")
  io.write(pipe:read "a")
  pipe:close()
end

run [[NEAP -e 'print(await asyncio.sleep(0.001, "e"))']]  --> e
run [[NEAP -e 'async function f(x) return x end' -e 'print(await f(2))']]
--> 2
run [[echo 'print(await asyncio.sleep(0, "stdin"))' | NEAP -]]  --> stdin
run [[echo 'print(await asyncio.sleep(0, ...))' | NEAP - argument]]
--> argument
run [[NEAP -l tests.lang.parts.slow \
  -e 'print(package.loaded["tests.lang.parts.slow"].name)']]
--> slow
run [[LUA_INIT='print(await asyncio.sleep(0, "init"))' NEAP -e '']]  --> init

local function status(command)
  local _, how, code = os.execute(command:gsub("NEAP", function() return neap
    end) .. " >/dev/null 2>&1")
  print(how, code)
end

status [[NEAP -e 'await asyncio.sleep(0)']]                   --> exit 0
status [[NEAP -e 'await asyncio.sleep(0) error "x"']]         --> exit 1
status [[NEAP -e 'await f(']]                                 --> exit 1
status [[NEAP -e 'await asyncio.sleep(0) os.exit(3)']]        --> exit 3
status [[NEAP -e 'await asyncio.sleep(0) os.exit(true, true)']]  --> exit 0
status [[NEAP -e 'local async function f() os.exit(4) end
  asyncio.create_task(f())
  await asyncio.sleep(100)']]                                 --> exit 4
status [[NEAP -e 'asyncio.get_running_loop():call_soon(os.exit, 5)
  await asyncio.sleep(100)']]                                 --> exit 5

-- Ctrl-C cancels the main task; its clean-up runs and may await
run [[timeout -s INT 1 NEAP -e '
  local _ <close> = asyncio.defer(function()
    await asyncio.sleep(0.01)
    print "cleaned"
  end)
  await asyncio.sleep(100)' 2>/dev/null]]  --> cleaned
status [[timeout --preserve-status -s INT 1 NEAP -e '
  await asyncio.sleep(100)']]                                 --> exit 130
