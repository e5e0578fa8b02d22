-- Our own standard streams, whatever they are.

local process = require "neap.process"
local net = require "neap.net"

local neap = "/proc/" .. process.pid .. "/exe"

local function script(text)
  return {neap, "-e", 'local process = require "neap.process"\n' .. text}
end

local copy = script [[
  for line in process.stdin:lines() do
    await process.stdout:write(line:upper(), "\n")
  end
  await process.stderr:write("done")
]]

test("pipes", async function()
  equal(await process.run(copy, {input = "one\ntwo\nthree"}),
    {status = 0, stdout = "ONE\nTWO\nTHREE\n", stderr = "done"})
end)

test("files", async function()
  local input <close> = io.tmpfile()
  local output <close> = io.tmpfile()
  input:write("one\ntwo\nthree")
  input:seek "set"
  equal(await process.run(copy, {stdin = input, stdout = output,
    stderr = "stdout"}), {status = 0})
  output:seek "set"
  equal(output:read "a", "ONE\nTWO\nTHREE\ndone")
end)

test("nothing", async function()
  equal(await process.run(copy, {stdout = "null"}),
    {status = 0, stderr = "done"})
end)

test("sockets", async function()
  local ours <close>, theirs = net.pair()
  local child <close> = process.spawn(copy, {stdin = theirs, stdout = theirs,
    stderr = "null"})
  await ours:write("one\n")
  equal(await ours:read_line(), "ONE")
  await ours:shutdown()
  equal(await ours:read(), nil)
  equal(await child:wait(), 0)
end)

test("a terminal", async function()
  local child <close> = process.spawn(copy, {pty = true})
  await child.stdin:write("one\n")
  equal(await child.stdout:read_line(), "one\r")
  equal(await child.stdout:read_line(), "ONE\r")
  await child.stdin:write("\4")
  equal(await child.stdout:read_all(), "done")
  equal(await child:wait(), 0)
end)

test("a megabyte through each", async function()
  local text = ("0123456789abcde\n"):rep(1 << 16)
  local through = script [[
    while true do
      local bytes = await process.stdin:read()
      if not bytes then break end
      await process.stdout:write(bytes)
    end
  ]]
  assert((await process.run(through, {input = text})).stdout == text)
  local input <close> = io.tmpfile()
  local output <close> = io.tmpfile()
  input:write(text)
  input:seek "set"
  await process.run(through, {stdin = input, stdout = output})
  output:seek "set"
  assert(output:read "a" == text)
end)

test("the reads of a file are those of a stream", async function()
  local file <close> = io.tmpfile()
  local reads = script [[
    local s = process.stdin
    print(await s:read(0) == "", await s:read(3), await s:read_exactly(4))
    print(await s:read_line(), await s:read_until("--"))
    local function failing(f, ...)
      local ok, e = pcall(function(...) return await f(s, ...) end, ...)
      return e.name, e.message, e.partial
    end
    print(failing(s.read_line, 3))
    print(await s:read_line(), await s:read_line())
    print(failing(s.read_until, "--"))
    print(await s:read(), await s:read_line(), await s:read_all() == "")
    print(failing(s.read_exactly, 2))
  ]]
  local input = "abcdefgh\nij--long line\n\nrest"
  file:write(input)
  file:seek "set"
  local wanted = table.concat({
    "true\tabc\tdefg",
    "h\tij--",
    "LimitOverrunError\tread_line stdin: no line ends within 3 bytes\tnil",
    "long line\t",
    "IncompleteReadError\tread_until stdin: the stream ended before "
      .. "the separator\trest",
    "nil\tnil\ttrue",
    "IncompleteReadError\tread_exactly stdin: the stream ended after 0 of 2 "
      .. "bytes\t",
    ""}, "\n")
  equal(await process.run(reads, {stdin = file}),
    {status = 0, stdout = wanted, stderr = ""})
  equal(await process.run(reads, {input = input}),
    {status = 0, stdout = wanted, stderr = ""})
end)

test("a long file is read in long pieces", async function()
  local file <close> = io.tmpfile()
  file:write(("x"):rep(8 << 20), "\n")
  file:seek "set"
  local result = await process.run(script [[
    local function reads()
      local file <close> = io.open "/proc/self/io"
      return tonumber(file and file:read "a":match "syscr: (%d+)" or 0)
    end
    local before = reads()
    print(#await process.stdin:read_all(), reads() - before < 40)
  ]], {stdin = file})
  equal(result, {status = 0, stdout = "8388609\ttrue\n", stderr = ""})
end)

test("mistakes with a file are those with a stream", async function()
  local wrong = script [=[
    for _, call in ipairs {{"read", -1}, {"read", "x"}, {"read_exactly"},
      {"read_until", ""}, {"read_until"}, {"read_line", 0}, {"write", {}}} do
      local s = call[1] == "write" and process.stdout or process.stdin
      local ok, e = pcall(function() await s[call[1]](s, call[2]) end)
      print(type(e), (e:gsub("^.-: ", "")))
    end
  ]=]
  local output <close> = io.tmpfile()
  equal((await process.run(wrong, {stdout = output})).status, 0)
  output:seek "set"
  equal(output:read "a", (await process.run(wrong, {input = ""})).stdout)
end)

test("closing a standard file", async function()
  local file <close> = io.tmpfile()
  local result = await process.run(script [[
    local s = process.stdin
    local task = asyncio.create_task(s:read())
    await asyncio.sleep(0)
    s:close()
    s:close()
    print(pcall(await, task))
    print(s:closed(), pcall(function() return await s:read() end))
    await process.stdout:write("x")
    await process.stdout:shutdown()
    print(process.stdout:closed())
  ]], {stdin = file})
  equal(result.status, 0)
  assert(result.stdout:find "false\t.-read stdin: it was closed\n",
    result.stdout)
  assert(result.stdout:find "true\tfalse\t.-is closed\n", result.stdout)
  assert(result.stdout:find "xtrue\n$" or result.stdout:find "true\n", "x")
end)

test("cancelled reads of a file lose nothing", async function()
  local file <close> = io.tmpfile()
  file:write(("0123456789"):rep(30000))
  file:seek "set"
  local result = await process.run(script [[
    local n = 0
    while true do
      local task = asyncio.create_task(process.stdin:read())
      await asyncio.sleep(0)
      task:cancel()
      asyncio.catch(await, task)
      if not task:cancelled() then n = n + #task:result() end
      local bytes = await process.stdin:read()
      if not bytes then break end
      n = n + #bytes
    end
    print(n)
  ]], {stdin = file})
  equal(result, {status = 0, stdout = "300000\n", stderr = ""})
end)

test("cancelled writes to a file stay whole and in order", async function()
  local file <close> = io.tmpfile()
  local result = await process.run(script [[
    for i = 1, 50 do
      local task = asyncio.create_task(process.stdout:write(("%03d"):format(i)
        :rep(1000)))
      await asyncio.sleep(0)
      await asyncio.sleep(0)
      task:cancel()
      asyncio.catch(await, task)
      await process.stdout:write("|")
    end
  ]], {stdout = file})
  equal(result.status, 0)
  file:seek "set"
  local last = 0
  for part in file:read "a":gmatch "([^|]*)|" do
    assert(part == "" or #part == 3000, #part)
    if part ~= "" then
      assert(part == part:sub(1, 3):rep(1000))
      assert(tonumber(part:sub(1, 3)) > last)
      last = tonumber(part:sub(1, 3))
    end
  end
end)

test("our streams do not make those of others non-blocking", async function()
  local result = await process.run({"sh", "-c", ([[
    %s -e 'local p = require "neap.process"; await p.stdout:write("x\n")
      await p.stdin:read_line() print(p.stderr ~= nil)'
    grep flags /proc/self/fdinfo/0; grep flags /proc/self/fdinfo/1
  ]]):format(neap)}, {input = "line\n"})
  local flags = result.stdout:match "^x\ntrue\n(.*)"
  for value in flags:gmatch "flags:%s*(%d+)" do
    equal(tonumber(value, 8) & tonumber("4000", 8), 0)
  end
end)

test("print and process.stdout can be mixed with a flush", async function()
  local result = await process.run(script [[
    print "one"
    await process.stdout:write("two\n")
    print "three"
    io.stdout:flush()
    await process.stdout:write("four\n")
  ]])
  equal(result.stdout, "one\ntwo\nthree\nfour\n")
end)

test("a missing descriptor is an error", async function()
  local result = await process.run({"sh", "-c", ([[
    exec %s -e 'local p = require "neap.process"
      print(pcall(function() return p.stdin end))' <&-]]):format(neap)})
  equal(result.status, 0)
end)

test("what fails names the stream", function()
  local writes = script [[
    local process = require "neap.process"
    local ok, e = pcall(await, process.stdout:write "x")
    io.stderr:write(e.message)
  ]]
  local full <close> = assert(io.open("/dev/full", "w"))
  local result = await process.run(writes, {stdout = full})
  equal(result.stderr, "write stdout: no space left on device")
  local cat = process.spawn({"/bin/true"}, {stdin = "pipe"})
  await cat:wait()
  local e = expect_error(asyncio.OSError, cat.stdin.write, cat.stdin, "x")
  equal(e.message, "write stdin of true: broken pipe")
  cat:close()
end)
