-- async and await are ordinary names wherever they are no keywords, and a
-- program that uses them so means what it means in Lua.

do
  local async, await = 1, 2
  print(async, await)  --> 1 2
  async, await = await, async
  print(async + await, async - await, -await)  --> 3 1 -1
  async = 5 await = 6
  print(async, await)  --> 5 6
  print(async == await, await ~= async, not await)  --> false true false
end

-- fields, methods, table entries
local t = {async = "a", await = "b", ["await"] = "c"}
print(t.async, t.await)  --> a c
function t.await(x) return "await " .. x end
function t:async(x) return self == t, x end
print(t.await "x", t:async(1))  --> await x true 1
t.await = function(...) return select("#", ...) end
print(t.await(1, nil), t["await"](1))  --> 2 1
print(({await = 7}).await)  --> 7

-- functions and parameters
local function await_(await, async) return async, await end
print(await_(1, 2))  --> 2 1
local function async(f) return f end
print(async(3), async "s", async {4}[1])  --> 3 s 4
local twice = async (function(x) return 2 * x end)
print(twice(4))  --> 8

-- a keyword only with `function`, or a name, on the same line
do
  local await = 3
  local x = await
  x = x + 1
  print(x)  --> 4
  local y = await
    + 1
  print(y)  --> 4
  local async = await
  local function f() return async end
  print(f())  --> 3
end

do
  local log = {}
  local function await(x) log[#log + 1] = x return await end
  await (1)
  await "two"
  await {3}
  await [[four]]
  print(log[1], log[2], log[3][1], log[4])  --> 1 two 3 four
  local x = await
  print(x == await)  --> true
  x = async
  function x_() return 1 end
  print(x_())  --> 1
end

-- loops, labels and goto
for await = 1, 2 do io.write(await, await < 2 and "," or "\n") end  --> 1,2
for async, await in pairs {9} do print(async, await) end  --> 1 9
do
  local n = 0
  ::await::
  n = n + 1
  if n < 3 then goto await end
  goto async
  n = 0
  ::async::
  print(n)  --> 3
end

-- attributes
do
  local await <const>, async <close> = 1, nil
  print(await, async)  --> 1 nil
end

-- in strings and comments there are no words: await x, async function f()
print("await f()", 'async function g() end')
--> await f() async function g() end
print([==[
await f(
]] async function]==])
--> await f(
--> ]] async function
--[[ await f() ]] --[==[ async function ]==] print("after")  --> after
print("\
await x")  
-->
--> await x
print("\z
       await x", "\97wait y", '\x61wait')  --> await x await y await
print(#"--[[ await x", "--[==[")  --> 12 --[==[

-- numerals next to words, and operators
print(0xep1 == 14 * 2, 1 .. 2, 0x.8p1, 3e0)  --> true 12 1.0 3.0
local await = 8
print(1 <await, await// 3, await >> 1, await~1, ~await)
--> true 2 4 9 -9
print(await..await, await..'x', - -await)  --> 88 8x 8
