-- neap as a module of lua5.4: require "neap", and what is different there.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, equal, has = cli.test, cli.equal, cli.has

local function output(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "l" or ""
end

local library = (os.getenv "B" or "build") .. "/neap.so"
if output "command -v lua5.4" == "" then
  print "skipped: there is no lua5.4"
  return cli.finish()
end
if not io.open(library) then
  print("skipped: there is no " .. library)
  return cli.finish()
end

-- A library with a sanitizer needs that to be loaded first.
local preload = ""
if output("nm -D " .. library .. " | grep -c __asan_init") ~= "0" then
  preload = " LD_PRELOAD=" .. output "gcc -print-file-name=libasan.so"
end

cli.interpreter = "lua5.4"

local function lua(text, ...)
  return cli.run{"-e", "neap = require 'neap'", cli.script(text), ...,
    env = "LUA_CPATH=" .. library .. preload}
end

-- Runs the text, which must end well and print `wanted`.
local function gives(wanted, text)
  local status, out, err = lua(text)
  equal(err, "")
  equal(out, wanted)
  equal(status, 0)
end

test("asyncio.run gives the values of a task", function()
  gives("1\t2\nnil\n", [[
    local add = async(function(a, b)
      await(asyncio.sleep(0.001))
      return a, b
    end)
    print(asyncio.run(add(1, 2)))
    print(asyncio.current_task())
  ]])
end)

test("asyncio.run ends all tasks and may be called again", function()
  gives("cleaned\nfalse\tbad\n3\n", [[
    local other = async(function()
      local _ <close> = asyncio.defer(function()
        await(asyncio.sleep(0))
        print "cleaned"
      end)
      await(asyncio.sleep(1000))
    end)
    print(pcall(asyncio.run, async(function()
      asyncio.create_task(other())
      await(asyncio.sleep(0))
      error("bad", 0)
    end)()))
    print(asyncio.run(asyncio.sleep(0, 3)))
  ]])
end)

test("it may be called in a coroutine", function()
  gives("5\ntrue\t3\nfalse\t12: timed out\n", [[
    print(coroutine.wrap(function()
      return asyncio.run(asyncio.sleep(0.001, 5))
    end)())
    print(coroutine.resume(coroutine.create(function()
      return asyncio.run(async(function()
        return coroutine.wrap(function()
          await(asyncio.sleep(0))
          coroutine.yield(3)
        end)()
      end)())
    end)))
    local ok, e = pcall(coroutine.wrap(function()
      return asyncio.run(asyncio.wait_for(asyncio.Future(), 0.001))
    end))
    print(ok, tostring(e):match "%d+: .*")
  ]])
end)

test("inside it is an error, as in a callback", function()
  gives("true\ntrue\n", [[
    asyncio.run(async(function()
      local other = asyncio.create_task(async(function()
        local ok, e = pcall(asyncio.run, asyncio.Future())
        return tostring(e):find "inside a running task" ~= nil
      end)())
      print(await(other))
      local done = asyncio.Future()
      asyncio.get_running_loop():call_soon(function()
        local ok, e = pcall(asyncio.run, asyncio.Future())
        done:set_result(tostring(e):find "cannot be called" ~= nil)
      end)
      print(await(done))
    end)())
  ]])
end)

test("files and texts with the two words are loaded", function()
  local part = cli.script "local x = await asyncio.sleep(0, 4) return x"
  cli.write(cli.path "words.lua",
    "await asyncio.sleep(0) return {async function() return 'w' end}")
  gives("4\n5\n4\nw\n4\t" .. part .. "\nlocal x = 1\n", ([[
    local path = %q
    package.path = %q
    asyncio.run(async(function()
      print(neap.dofile(path))
      print(neap.load "return 1 + await asyncio.sleep(0, 4)"())
      print(dofile(path))
      print(await(require "words"[1]()))
      print(neap.loadfile(path)(), path)
    end)())
    print(neap.translate "local x = 1")
  ]]):format(part, cli.path "?.lua"))
end)

test("a cancellation passes pcall and reaches coroutines", function()
  gives("1\n2\nfalse\ttrue\n", [[
    asyncio.run(async(function()
      for i in coroutine.wrap(function()
        for i = 1, 2 do await(asyncio.sleep(0)) coroutine.yield(i) end
      end) do print(i) end
      local t = asyncio.create_task(async(function()
        pcall(function() await(asyncio.sleep(1000)) end)
        print "not here"
      end)())
      await(asyncio.sleep(0))
      t:cancel()
      local ok = pcall(await, t)
      print(ok, t:cancelled())
    end)())
  ]])
end)

test("coroutines that were there before can be used", function()
  local status, out, err = cli.run{cli.script [[
    local function body()
      coroutine.yield()
      return select(2, pcall(await, asyncio.Future())), asyncio.current_task()
    end
    local kept = {coroutine.create(body), coroutine.wrap(body),
      function() return hidden end}
    hidden = nil
    local inside = setmetatable({}, {__index = coroutine.create(body)})
    coroutine.resume(kept[1]) kept[2]()
    coroutine.resume(getmetatable(inside).__index)
    coroutine.wrap(function() require "neap" end)()
    print(coroutine.resume(kept[1]))
    print(kept[2]())
    print(coroutine.resume(getmetatable(inside).__index))
    print(asyncio.run(asyncio.sleep(0, "end")))
  ]], env = "LUA_CPATH=" .. library .. preload}
  equal(err, "")
  out = out:gsub("[^\t\n]-:3: ", "")
  equal(out,
    "true\tawait outside a task\tnil\nawait outside a task\tnil\n"
    .. "true\tawait outside a task\tnil\nend\n")
  equal(status, 0)
end)

test("sockets, files and programs work", function()
  gives("HELLO\nhello\n0\n", ([[
    local net, fs = require "neap.net", require "neap.fs"
    local process = require "neap.process"
    asyncio.run(async(function()
      local server <close> = net.listen{host = "127.0.0.1"}
      asyncio.create_task(server:serve(async(function(conn)
        for line in conn:lines() do
          await(conn:write(line:upper(), "\n"))
        end
      end)))
      local conn <close> = await(net.connect("127.0.0.1",
        server:sockname().port))
      await(conn:write "hello\n")
      print(await(conn:read_line()))
      local path = %q
      await(fs.write_file(path, "hello"))
      print(await(fs.read_file(path)))
      print(await(process.run{"true"}).status)
    end)())
  ]]):format(cli.path "x"))
end)

test("an error that nobody retrieved is told", function()
  local status, out, err = lua [[
    asyncio.run(async(function()
      asyncio.create_task(async(function() error "lost" end)())
      await(asyncio.sleep(0)) await(asyncio.sleep(0))
    end)())
    print "goes on"
  ]]
  has(err, "never retrieved")
  has(err, "lost")
  equal(out, "goes on\n")
  equal(status, 0)
end)

test("what is left when the state closes is let go", function()
  gives("", [[
    local net = require "neap.net"
    server = net.listen{host = "127.0.0.1"}
    left = asyncio.create_task(async(function()
      local _ <close> = asyncio.defer(function() print "not run" end)
      await(server:accept())
    end)())
    loop = asyncio.get_running_loop()
    loop:call_later(1000, print)
    future = asyncio.Future()
  ]])
end)

test("finalizers that run after its end do no harm", function()
  local status, out, err = cli.run{cli.script [[
    late = setmetatable({}, {__gc = function()
      print(pcall(function() left:cancel() return left:state() end))
      print(pcall(asyncio.create_task, asyncio.sleep(0)))
      print(pcall(loop.call_soon, loop, print))
      print(pcall(require "neap.net".listen, {host = "127.0.0.1"}))
    end})
    require "neap"
    require "neap.net"
    loop = asyncio.get_running_loop()
    left = asyncio.create_task(asyncio.sleep(1))
  ]], env = "LUA_CPATH=" .. library .. preload}
  has(out, "true\tcancelled\n")
  equal(select(2, out:gsub("\n", "")), 4)
  equal(status, 0)
end)

test("os.exit works in and outside of tasks", function()
  local status, out = lua "os.exit(3)"
  equal(status, 3)
  status, out = lua [[
    kept = setmetatable({}, {__gc = function() print "closed" end})
    asyncio.run(async(function()
      local _ <close> = asyncio.defer(function() print "left" end)
      pcall(os.exit, 4, true)
    end)())
    print "not here"
  ]]
  equal(status, 4)
  equal(out, "left\nclosed\n")
  status, out = lua [[
    asyncio.run(async(function()
      asyncio.get_running_loop():call_soon(os.exit, 5, true)
      await(asyncio.sleep(1000))
    end)())
  ]]
  equal(status, 5)
  status = lua "asyncio.run(async(function() os.exit(6) end)())"
  equal(status, 6)
end)

test("neap itself has the same module", function()
  cli.interpreter = os.getenv "NEAP" or "build/neap"
  local status, out = cli.run{"-e", "local neap = require 'neap' "
    .. "print(neap.asyncio == asyncio, neap.load == load, "
    .. "asyncio.run(neap.async(function() return 1 end)()))"}
  equal(out, "true\ttrue\t1\n")
  equal(status, 0)
end)

cli.finish()
