--[[
Pitfall: awaiting a coroutine object twice. It is one run of a function, and
runs once. What is wanted by several belongs in a task, which keeps its
result.
]]

local async function roll() return 4 end

local once = roll()
print(await once)                                        --> 4

local ok, message = pcall(await, once)
print(message:match "again: (.*)")
--> it was awaited or given to a task already

-- create_task, gather and so on refuse it at the call.
print((pcall(asyncio.create_task, once)))                --> false

local task = asyncio.create_task(roll())
print(await task, await task)                            --> 4	4
