-- Coroutine objects that nobody awaits: each is told of once, in the order in
-- which they were made, however many there are and whatever becomes of others.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, equal = cli.test, cli.equal

if not cli.is_neap then
  print "skipped: not neap"
  return cli.finish()
end

local function lines_of(script)
  local status, _, err = cli.run{cli.script(script)}
  equal(status, 0)
  local lines = {}
  for line in err:gmatch "%(%S-:(%d+)%) was never awaited\n" do
    lines[#lines + 1] = line
  end
  return table.concat(lines, " ")
end

test("lost ones are told of in the order in which they were made", function()
  equal(lines_of [[
local async function f() end
local x, y, z = f(), f(), f()
await y await x await z
f()
f()
f()
collectgarbage()
await asyncio.sleep(0.001)
local a = f()
local b = f()
f()]], "4 5 6 9 10 11")
end)

test("one that is awaited after many were lost is not told of", function()
  equal(lines_of [[
local async function f() end
local kept = {}
for i = 1, 1000 do kept[i] = f() end
for i = 1, 1000 do if i % 250 > 0 then await kept[i] end end
collectgarbage()
for i = 1, 700 do local _ = f() await _ end
await kept[250] await kept[500]
kept[750] = nil
collectgarbage()
await asyncio.sleep(0.001)
await kept[1000] ]], "3")
end)

test("those that a gather has refused are still new", function()
  equal(lines_of [[
local async function f() end
local a = f()
local b = f()
assert(not pcall(asyncio.gather, a, b, 5))
assert(not pcall(asyncio.gather, {a, b, a, 5}))
await a]], "3")
end)

test("arguments of one that was lost are lost as well", function()
  equal(lines_of [[
local async function f(...) end
f(
f(),
f(1))
collectgarbage()]], "3 4 2")
end)

test("a script that computes is told of those that it loses", function()
  local status, out, err = cli.run{cli.script [[
local async function f() end
local before = 0
for i = 1, 20000 do
  f()
  if i == 10000 then collectgarbage() before = collectgarbage "count" end
end
collectgarbage()
print(collectgarbage "count" < before + 100)]]}
  equal(status, 0)
  equal(out, "true\n")
  local _, count = err:gsub("was never awaited\n", "")
  equal(count, 20000)
end)

test("one that only a finalizer had may be told of, but is not broken",
     function()
  local status, out = cli.run{cli.script [[
local async function f(x) return x end
local found
setmetatable({f(5)}, {__gc = function(t) found = t[1] end})
collectgarbage()
await asyncio.sleep(0.001)
local others = {}
for i = 1, 100 do others[i] = f(i) end
print(await found)
print(pcall(function() await found end))
print(#await asyncio.gather(others))]]}
  equal(status, 0)
  equal(out:gsub("[^%s(]*:%d+", "FILE"), "5\nfalse\tFILE: cannot await " ..
        "coroutine object f (FILE) again: it was awaited or given to a " ..
        "task already\n100\n")
end)

return cli.finish()
