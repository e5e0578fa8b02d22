-- What a script makes of its globals is nothing to the library.

local print = print
type, pcall, error, next, select, tostring = 5, 5, 5, 5, 5, 5
pairs, ipairs, setmetatable, require = 5, 5, 5, 5
table, math, string, os, utf8 = {}, {}, "text", nil, nil

local task = asyncio.create_task(asyncio.sleep(0.001, "slept"))
await asyncio.wait{task}
print(await task)                                 --> slept
local queue = asyncio.PriorityQueue()
queue:put_nowait(2)
queue:put_nowait(1)
print(await queue:get())                          --> 1
do
  local group <close> = asyncio.TaskGroup()
  group:create_task(asyncio.sleep(0))
end
print(await asyncio.wait_for(asyncio.sleep(0, "in time"), 1))  --> in time
