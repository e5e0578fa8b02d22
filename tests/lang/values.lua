-- Values are Lua's: several stay several, nil is one, and they adjust.

local async function values(...) return ... end
local function count(...) return select("#", ...) end

print(await values())  -->
print(await values(nil))  --> nil
print(await values(1, nil, 3, nil))  --> 1 nil 3 nil
print(count(await values()), count(await values(nil, nil)))  --> 0 2
print(count(await values(1, 2, 3), await values(1, 2, 3)))  --> 4
print((await values(1, 2, 3)))  --> 1
print(#{await values(1, 2, 3)}, #{(await values(1, 2, 3))},
  #{await values(1, 2), await values(3, 4)})  --> 3 1 3

local function tail(...) return await values(...) end
print(tail(1, nil, nil))  --> 1 nil nil
local a, b, c, d = await values(1, 2, 3)
print(a, b, c, d)  --> 1 2 3 nil

-- from tasks, futures and coroutine objects too
local t = asyncio.create_task(values(1, nil, 3, nil))
print(await t)  --> 1 nil 3 nil
print(count(await t, await t))  --> 5
local o = values(nil, 2, nil)
print(await o)  --> nil 2 nil
local f = asyncio.Future()
f:set_result(nil, nil)
print(count(await f))  --> 2

-- through suspensions
local async function slowly(...)
  await asyncio.sleep(0)
  return ...
end
print(count(await slowly()), count(await slowly(nil, nil, nil)))  --> 0 3
print(count(await slowly(table.unpack({}, 1, 200))))  --> 200

-- varargs
local async function vararg(...)
  local n = select("#", ...)
  await asyncio.sleep(0)
  return n, ...
end
print(await vararg(nil, 1, nil))  --> 3 nil 1 nil
local function many(...)
  return await vararg(...)
end
print(many(1, 2))  --> 2 1 2

-- more than the operand stack is wont to see
local big = table.pack(await values(table.unpack({}, 1, 5000)))
print(big.n)  --> 5000
