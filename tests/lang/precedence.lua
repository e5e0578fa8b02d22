-- await takes the longest suffixed expression, and nothing more.

local async function id(...) return ... end
local t = {n = 3, f = id, list = {id}}
function t:m(x) return id(self.n + x) end

print(await id(2) + 1, 1 + await id(2), await id(2) * await id(3))  --> 3 3 6
print(-await id(2), #await id("abc"), not await id(nil), ~await id(0))
--> -2 3 true -1
print(await id(2) ^ 2, 2 ^ await id(3), -await id(2) ^ 2)  --> 4.0 8.0 -4.0
print(await id("a") .. await id("b") .. "c")  --> abc
print(await id(1) < await id(2), await id(1) == 1, await id(nil) or 5)
--> true true 5
print(await id(false) and 1, await id(true) and await id(6))  --> false 6
print(await t:m(1) + 1, await t.f(1) + 1, await t.list[1](1) + 1)  --> 5 2 2
print(await id(await id(await id(7))))  --> 7
print((await id(t)).n, (await id(id)) == id)  --> 3 true

-- in tables, indices, and both sides of an assignment
local x = {await id(1), await id(2), n = await id(3), [await id(4)] = 5,
  await id(6, 7)}
print(x[1], x[2], x[3], x[4], x.n)  --> 1 2 6 7 3
x[await id(1)], x[await id(2)] = await id(8, 9)
print(x[1], x[2])  --> 8 9
local a, b, c = await id(1), await id(2, 3)
print(a, b, c)  --> 1 2 3
x.f = id
x[1] = await x.f(10)
print(x[1]);  --> 10
(await id(x)).n = 11
print(x.n)  --> 11

-- a newline does not end a suffixed expression
print(await t
  .f
  (12))  --> 12
local got = await t
  :m(10)
print(got)  --> 13

-- functions within operands
local nested = await id(function() return await id(14) end)
print(nested())  --> 14
