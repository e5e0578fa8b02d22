-- Every form of `async function` and of `await`.

local async function one(x) return x end
async function two(x) return x * 2 end
local M = {deep = {}}
async function M.three(x) return x * 3 end
async function M.deep.four(x) return x * 4 end
async function M:five(x) return self == M and x * 5 end
async function M.deep:six(x) return self == M.deep and x * 6 end
local seven = async function(x) return x * 7 end
M.eight = async function(x) return x * 8 end
local t = {nine = async function(x) return x * 9 end, async function() end}

print(await one(1), await two(1), await M.three(1), await M.deep.four(1))
--> 1 2 3 4
print(await M:five(1), await M.deep:six(1), await seven(1), await M.eight(1))
--> 5 6 7 8
print(await t.nine(1), select("#", await t[1]()))  --> 9 0
print(type(one), type(M.five), type(t[1]))  --> function function function

-- as an argument, a result, and called where it stands
local function give(...) return ... end
print(await give(async function(x) return x end)(10))  --> 10
print(await give(async function() return 11 end)())  --> 11
print(await((async function(...) return select("#", ...) end)(1, nil)))  --> 2
local function make() return async function() return 12 end end
print(await make()())  --> 12

-- a local async function knows itself
local async function countdown(n)
  if n == 0 then return "done" end
  return await countdown(n - 1)
end
print(await countdown(5))  --> done

-- arguments in every form
local async function show(x) return type(x) end
print(await show "s", await show {}, await show [[s]], await show(nil))
--> string table string nil
print(await M:five(2), await M["deep"]:six(2))  --> 10 12
local async function count(...) return select("#", ...) end
print(await count(), await count(nil), await count(nil, nil))  --> 0 1 2
print(await count(table.unpack({1, 2, 3})), await count(...))  --> 3 0

-- what is awaited need not be a call
local c = one(13)
print(await c)  --> 13
local box = {c = one(14), [1] = one(15)}
print(await box.c)  --> 14
print(await box[1])  --> 15
local task = asyncio.create_task(one(16))
print(await task, await task)  --> 16 16
local function plain(x) return one(x) end
print(await plain(17))  --> 17

-- calls of calls, fields of calls, indices that are calls
local async function table_of(...) return {...} end
print((await table_of(18, 19))[2])  --> 19
local function get() return {f = one, list = {one}} end
print(await get().f(20), await get().list[1](21))  --> 20 21
print(await get()["f"](22), await get().list[await one(1)](23))  --> 22 23

-- `await (x)` and `async(f)` are calls of global functions that do the same
print(await(one(24)), await (task))  --> 24 16
local f = async(function(a, b) return b, a end)
print(await f(1, 2))  --> 2 1
print(await(f(1, 2)))  --> 2 1
local pair = async (function(self, x) return self.n, x end)
print(await pair({n = 3}, 4))  --> 3 4

-- statements, one after the other, with and without semicolons
local log = {}
local async function note(x) log[#log + 1] = x return x end
await note(1) await note(2); await note "3"
do await note(4) end
if await note(true) then await note(5) else await note(6) end
while await note(7) ~= 7 do end
repeat local x = await note(8) until await note(x) == 8
for _ = await note(9), await note(9) do await note(10) end
print(table.concat({table.unpack(log, 1, 4)}, " "), #log)  --> 1 2 3 4 12
goto out
::out:: await note(11)
print(log[#log])  --> 11
return await note(12)
