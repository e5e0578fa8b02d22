-- Running a program to its end: results, input, limits, failures.

local process = require "neap.process"
local fs = require "neap.fs"
local run = process.run

local function sh(text, options)
  return await run({"sh", "-c", text}, options)
end

local function is_there(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  if file then file:close() end
  return file ~= nil
end

-- How many we have open.
local function descriptors()
  local n = 0
  for fd = 0, 999 do
    local file = io.open("/proc/self/fdinfo/" .. fd)
    if file then
      n = n + 1
      file:close()
    end
  end
  return n
end

test("a result has the status and both outputs", async function()
  equal(sh("echo out; echo err >&2; exit 7"),
    {status = 7, stdout = "out\n", stderr = "err\n"})
  equal(await run {"true"}, {status = 0, stdout = "", stderr = ""})
end)

test("a status and a signal are told apart", async function()
  equal(sh("kill -TERM $$"), {signal = "SIGTERM", stdout = "", stderr = ""})
  equal(sh("exit 143"), {status = 143, stdout = "", stderr = ""})
  equal(sh("exit 255").status, 255)
end)

test("arguments arrive as they are, numbers as text", async function()
  local odd = {"printf", "%s|", "a b", "", "*", "'", '"', "\n", "\255", 12, 1.5}
  equal((await run(odd)).stdout, "a b||*|'|\"|\n|\255|12|1.5|")
end)

test("there is nothing to read without input", async function()
  equal((await run {"cat"}).stdout, "")
end)

test("a megabyte goes in and comes out", async function()
  local text = ("0123456789abcdef"):rep(1 << 16)
  local result = await run({"cat"}, {input = text})
  assert(result.stdout == text, "the output differs from the input")
end)

test("both outputs are read at the same time", async function()
  local both = sh "head -c 1048576 /dev/zero >&2; head -c 1048576 /dev/zero"
  equal({#both.stdout, #both.stderr}, {1 << 20, 1 << 20})
end)

test("input that nobody reads harms nothing", async function()
  equal((await run({"true"}, {input = ("x"):rep(1 << 20)})).status, 0)
  equal((await run({"head", "-c", 3}, {input = ("x"):rep(1 << 20)})).stdout,
    "xxx")
  equal((await run({"cat"}, {input = ""})).stdout, "")
end)

test("cwd, env and umask-free defaults", async function()
  equal((await run({"pwd"}, {cwd = "/"})).stdout, "/\n")
  equal((await run({"/usr/bin/env"}, {env = {A = "1 2", B = 3}})).stdout
    :gsub("^B=3\nA=1 2\n", "A=1 2\nB=3\n"), "A=1 2\nB=3\n")
  equal((await run({"/usr/bin/env"}, {env = {}})).stdout, "")
  local env = process.environ()
  equal(env.PATH, os.getenv "PATH")
  env.NEAP_TEST_VALUE = "x=y"
  equal(sh("echo $NEAP_TEST_VALUE", {env = env}).stdout, "x=y\n")
end)

test("the program is looked for in the child's PATH", async function()
  local e = expect_error("no such file", run, {"ls"},
    {env = {PATH = "/nosuch"}})
  equal(e.code, "ENOENT")
  equal((await run({"true"}, {env = {}})).status, 0)
  equal((await run({"./true"}, {cwd = "/bin"})).status, 0)
end)

test("outputs can be joined, dropped and sent to a file", async function()
  local joined = sh("echo a; echo b >&2", {stderr = "stdout"})
  equal(joined, {status = 0, stdout = "a\nb\n"})
  equal(sh("echo a; echo b >&2", {stdout = "null"}),
    {status = 0, stderr = "b\n"})
  local file <close> = assert(io.tmpfile())
  file:write("before\n")
  equal(sh("echo a; echo b >&2", {stdout = file, stderr = "stdout"}),
    {status = 0})
  file:seek("set")
  equal(file:read "a", "before\na\nb\n")
end)

test("stdin can be a file", async function()
  local file <close> = assert(io.tmpfile())
  file:write("in the file")
  file:seek("set")
  equal((await run({"cat"}, {stdin = file})).stdout, "in the file")
end)

test("check raises what a program that fails has said", async function()
  local e = expect_error(process.ProcessError, function()
    sh("echo out; echo first >&2; echo 'no way ' >&2; exit 3", {check = true})
  end)
  assert(asyncio.iserror(e, asyncio.Error))
  equal({e.name, e.status, e.signal, e.stdout, e.stderr, e.argv[1]},
    {"ProcessError", 3, nil, "out\n", "first\nno way \n", "sh"})
  assert(tostring(e):find "run%.lua:%d+: run sh: exit status 3: no way",
    tostring(e))
  e = expect_error(process.ProcessError, function()
    sh("kill -KILL $$", {check = true})
  end)
  equal({e.status, e.signal}, {nil, "SIGKILL"})
  equal(e.message, "run sh: SIGKILL")
  equal(sh("exit 0", {check = true}).status, 0)
end)

test("what cannot be started says why", async function()
  local e = expect_error(asyncio.OSError, run, {"nosuch"})
  equal(e.code, "ENOENT")
  assert(tostring(e):find "run%.lua:%d+: spawn nosuch: no such file or dir" or
    tostring(e):find "spawn nosuch: no such file or directory", tostring(e))
  equal(expect_error(asyncio.OSError, run, {"/"}).code, "EACCES")
  e = expect_error(asyncio.OSError, run, {"/dev/null/program"})
  equal(e.message, "spawn /dev/null/program: not a directory")
  local env = {PATH = "/nowhere:/dev/null"}
  e = expect_error(asyncio.OSError, run, {"nosuch"}, {env = env})
  equal(e.code, "ENOENT")
  e = expect_error("cwd /nosuch", run, {"ls"}, {cwd = "/nosuch"})
  equal(e.code, "ENOENT")
  e = expect_error(asyncio.OSError, run, {"true", ("x"):rep(1 << 21)})
  equal(e.code, "E2BIG")
end)

test("a failure that libuv has no name for has one", async function()
  local dir <close> = await fs.temp_dir()
  local path = dir:path "script"
  await fs.write_file(path, "echo", {mode = "755"})
  local e = expect_error(asyncio.OSError, run, {path})
  equal(e.code, "ENOEXEC")
  equal(e.message, "spawn " .. path .. ": exec format error")
end)

-- Runs a program into a time limit that is long enough for it to say that it
-- has begun; gives the error.
local function timed_out(text, options)
  options.timeout = 0.02
  local e
  repeat
    options.timeout = options.timeout * 2
    e = expect_error(asyncio.TimeoutError, sh, text, options)
    equal(e.code, "ETIMEDOUT")
  until e.stdout ~= ""
  return e
end

test("a timeout asks the program to end", async function()
  local e = timed_out("echo begun; exec sleep 60", {})
  equal({e.stdout, e.message}, {"begun\n", "run sh: timed out"})
end)

test("one that ignores SIGTERM is killed after the grace time", async function()
  local e = timed_out("trap '' TERM; echo $$; while :; do sleep 60; done",
    {grace = 0.1, new_group = true})
  assert(not is_there(tonumber(e.stdout)))
end)

test("one that cleans up after SIGTERM may do so", async function()
  local path = os.tmpname()
  local e = timed_out(([[trap 'echo bye >%s; exit 0' TERM; echo begun
    while :; do sleep 0.01; done]]):format(path), {})
  equal(e.stdout, "begun\n")
  local file <close> = assert(io.open(path))
  os.remove(path)
  equal(file:read "a", "bye\n")
end)

test("what it says after SIGTERM is read, however much", async function()
  local e = timed_out([[trap 'head -c 300000 /dev/zero; echo bye; exit' TERM
    echo begun; while :; do sleep 0.01; done]], {})
  equal(#e.stdout, #"begun\n" + 300000 + #"bye\n")
  assert(e.stdout:find "bye\n$")
end)

test("a whole tree ends with its group", async function()
  local e = timed_out(
    "(trap '' TERM; sleep 61 & echo $! begun; wait) & wait",
    {grace = 0.1, new_group = true})
  local pid = e.stdout:match "%d+"
  while is_there(pid) do await asyncio.sleep(0.002) end
end)

test("a timeout that is not reached does nothing", async function()
  equal((await run({"true"}, {timeout = 30})).status, 0)
  equal((await run({"true"}, {timeout = math.huge})).status, 0)
end)

test("an outer timeout ends it too, with its own error", async function()
  local e = expect_error(asyncio.TimeoutError, function()
    local _ <close> = asyncio.timeout(0.05)
    await run({"sleep", "60"}, {timeout = 30})
  end)
  equal({e.code, e.stdout}, {})
end)

test("cancelling run ends the child", async function()
  local pid
  local file = os.tmpname()
  local task = asyncio.create_task(run({"sh", "-c",
    "echo $$ > " .. file .. "; exec sleep 60"}))
  repeat
    await asyncio.sleep(0.002)
    local handle <close> = io.open(file)
    pid = tonumber(handle:read "a")
  until pid
  os.remove(file)
  assert(is_there(pid))
  task:cancel()
  expect_error(asyncio.CancelledError, function() await task end)
  assert(task:cancelled())
  assert(not is_there(pid))
end)

test("cancelled at every await, nothing is left", async function()
  local before = descriptors()
  for turns = 0, 30 do
    local task = asyncio.create_task(run({"sh", "-c", "cat; echo x >&2"},
      {input = ("x"):rep(100000), timeout = 20}))
    for _ = 1, turns do await asyncio.sleep(0) end
    task:cancel()
    local ok, e = asyncio.catch(await, task)
    assert(ok or asyncio.iserror(e, asyncio.CancelledError), tostring(e))
  end
  collectgarbage()
  assert(descriptors() <= before)
end)

test("cancelled again while it waits for the end, it kills", async function()
  local file = os.tmpname()
  local task = asyncio.create_task(run({"sh", "-c", "trap '' TERM; echo > " ..
    file .. "; while :; do sleep 0.05; done"}, {grace = 60}))
  local begun
  repeat
    await asyncio.sleep(0.002)
    local handle <close> = io.open(file)
    begun = handle:read "a" ~= ""
  until begun
  os.remove(file)
  task:cancel()
  await asyncio.sleep(0.02)
  assert(not task:done())
  task:cancel()
  expect_error(asyncio.CancelledError, function() await task end)
end)

test("a hundred at once", async function()
  local before = descriptors()
  local jobs = {}
  for i = 1, 100 do
    jobs[i] = run({"sh", "-c", "cat; exit " .. i % 50}, {input = tostring(i)})
  end
  for i, result in ipairs(await asyncio.gather(jobs)) do
    equal(result, {status = i % 50, stdout = tostring(i), stderr = ""})
  end
  equal(descriptors(), before)
end)

test("capture=false writes to our own streams", async function()
  local neap = "/proc/" .. process.pid .. "/exe"
  local result = await run({neap, "-e", [[
    local process = require "neap.process"
    local result = await process.run({"sh", "-c", "echo out; echo err >&2"},
      {capture = false})
    print(result.status, result.stdout, result.stderr)
    await process.run({"echo", "kept"}, {stdout = "inherit"})
  ]]})
  equal(result, {status = 0, stdout = "out\n0\tnil\tnil\nkept\n",
    stderr = "err\n"})
end)

test("children get no descriptor but three", async function()
  local file <close> = assert(io.open("/dev/null"))
  local result = await run({"sh", "-c", "ls /proc/$$/fd"})
  equal(result.stdout, "0\n1\n2\n")
end)

test("children begin with the usual signals", async function()
  local loop = asyncio.get_running_loop()
  loop:add_signal_handler("SIGUSR1", function() end)
  local result = await run {"cat", "/proc/self/status"}
  loop:remove_signal_handler "SIGUSR1"
  assert(not result.stdout:find "SigBlk:%s*0*[1-9a-f]", result.stdout)
  assert(result.stdout:find "SigCgt:%s*0+\n", result.stdout)
end)

test("user and group", async function()
  local id = await run {"id", "-u"}
  if id.stdout ~= "0\n" then return end
  local result = await run({"sh", "-c", "id -u; id -g; id -G"},
    {user = "nobody"})
  local uid, gid = result.stdout:match "^(%d+)\n(%d+)\n"
  assert(uid ~= "0" and gid ~= "0", result.stdout)
  assert(not (" " .. result.stdout:match "([%d ]+)\n$" .. " "):find " 0 ",
    result.stdout)
  equal((await run({"id", "-u"}, {user = tonumber(uid)})).stdout, uid .. "\n")
  equal((await run({"sh", "-c", "id -u; id -g"}, {group = 12345})).stdout,
    "0\n12345\n")
  result = await run {"sh", "-c", [[command -v setpriv >/dev/null || exit 0
    setpriv --groups 7,8 ]] .. "/proc/" .. process.pid .. [[/exe -e '
    await require "neap.process".run({"grep", "^Groups:", "/proc/self/status"},
      {user = 54321, group = 54322, capture = false})']]}
  assert(not result.stdout:find "%d", result.stdout)
  expect_error("user 'nosuch' does not exist", run, {"id"}, {user = "nosuch"})
  expect_error("group 'nosuch' does not exist", run, {"id"},
    {group = "nosuch"})
end)

test("mistakes are told at the caller's line", async function()
  for what, arguments in pairs {
    ["argv must be a list of strings, not string"] = {"ls -l"},
    ["argv must be a list of strings, not nil"] = {nil},
    ["argv must be a list of strings, not number"] = {1, {"-l"}},
    ["argv names no program"] = {{}},
    ["argv[2] must be a string, not boolean"] = {{"ls", true}},
    ["argv[2] has a NUL"] = {{"ls", "a\0b"}},
    ["argv has the key 'cwd'"] = {{"ls", cwd = "/"}},
    ["options must be a table, not string"] = {{"ls"}, "x"},
    ["unknown option 'tiemout'"] = {{"ls"}, {tiemout = 1}},
    ["pty is an option of spawn"] = {{"ls"}, {pty = true}},
    ["detached is an option of spawn"] = {{"ls"}, {detached = true}},
    ["timeout must be a number, not string"] = {{"ls"}, {timeout = "1"}},
    ["timeout must be at least 0"] = {{"ls"}, {timeout = -1}},
    ["input must be a string, not number"] = {{"ls"}, {input = 1}},
    ["input and stdin exclude each other"] =
      {{"ls"}, {input = "", stdin = "null"}},
    ["check must be a boolean"] = {{"ls"}, {check = 1}},
    ["cwd is empty"] = {{"ls"}, {cwd = ""}},
    ["cwd has a NUL"] = {{"ls"}, {cwd = "/\0"}},
    ["env must be a table"] = {{"ls"}, {env = "A=1"}},
    ["env.A must be a string, not boolean"] = {{"ls"}, {env = {A = true}}},
    ["env.A has a NUL"] = {{"ls"}, {env = {A = "\0"}}},
    ["env has the name 'A=B'"] = {{"ls"}, {env = {["A=B"] = "1"}}},
    ["env has the name '1'"] = {{"ls"}, {env = {"x"}}},
    ["stdout is 'pip', not"] = {{"ls"}, {stdout = "pip"}},
    ["stdout is 'stdout', not"] = {{"ls"}, {stdout = "stdout"}},
    ["stderr must be a string, a stream or a file"] = {{"ls"}, {stderr = 2}},
    ["user must be a name or an integer"] = {{"ls"}, {user = {}}},
    ["user must be from 0"] = {{"ls"}, {user = -1}},
  } do
    local e = expect_error(what, run, arguments[1], arguments[2])
    equal(type(e), "string")
    assert(e:find "harness%.lua:%d+: run: " or e:find "run%.lua:%d+: run: ", e)
  end
end)

test("without descriptors left, it fails and leaves none", async function()
  local result = await run {"sh", "-c", ([[
    ulimit -n 40; exec %s -e '
    local process = require "neap.process"
    local function try() return await process.run({"true"}) end
    assert(try().status == 0)
    local files = {}
    repeat
      local file = io.open("/dev/null")
      files[#files + 1] = file
    until not file
    local codes, n = {}, #files
    repeat
      local ok, e = pcall(try)
      if not ok then
        codes[e.code] = (codes[e.code] or 0) + 1
        table.remove(files):close()
      end
    until ok
    print(codes.EMFILE > 3, n - #files < 12, next(codes, next(codes)))
    ']]):format("/proc/" .. process.pid .. "/exe")}
  equal(result, {status = 0, stdout = "true\ttrue\tnil\n", stderr = ""})
end)

test("an ignored SIGCHLD does not cost the status", async function()
  local result = await run {"sh", "-c", ([[
    trap "" CHLD; exec %s -e '
    local process = require "neap.process"
    print((await process.run {"sh", "-c", "exit 3"}).status)
    ']]):format("/proc/" .. process.pid .. "/exe")}
  equal(result, {status = 0, stdout = "3\n", stderr = ""})
end)

test("debug mode has nothing to say", async function()
  local result = await run {"/proc/" .. process.pid .. "/exe", "--debug", "-e",
    [[local process = require "neap.process"
    for i = 1, 3 do
      local name = i == 3 and "sleep" or "cat"
      pcall(function()
        await process.run({name, name == "sleep" and "9" or nil},
          {input = "x", timeout = 0.2})
      end)
      collectgarbage()
      await asyncio.sleep(0)
    end
    collectgarbage()]]}
  equal(result, {status = 0, stdout = "", stderr = ""})
end)

-- The child ends when it is told to, and what it has started then says more,
-- while the loop is blocked: of the end is heard before what was said.
test("what is said when the program has ended is heard without waiting",
    async function()
  if not io.open "/proc/self/stat" then return end
  local fs = require "neap.fs"
  local dir <close> = await fs.temp_dir()
  local function is_there(name)
    local file = io.open(dir:path(name))
    if file then file:close() end
    return file ~= nil
  end
  local task = asyncio.create_task(run({"sh", "-c", [[
    end_it() {
      : > asked
      while ! [ -e go ]; do sleep 0.01; done
      (until [ "$(cut -d' ' -f3 /proc/$$/stat)" = Z ]; do sleep 0.01; done
        echo late; : > said) &
      exit 0
    }
    trap end_it TERM
    echo first
    while :; do sleep 0.01; done
  ]]}, {cwd = dir:path(), timeout = 0.1, grace = 100}))
  while not is_there "asked" do await asyncio.sleep(0.005) end
  io.open(dir:path "go", "w"):close()
  while not is_there "said" do end
  local ok, e = pcall(function() await task end)
  assert(not ok and asyncio.iserror(e, asyncio.TimeoutError))
  equal(e.stdout, "first\nlate\n")
end)
