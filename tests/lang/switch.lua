-- No task switches anywhere but at an await that has to wait.

local log = {}
local function note(x) log[#log + 1] = x end

local async function add(a, b) note("add") return a + b end
local other = asyncio.create_task((async function() note("other") end)())

note(await add(1, 2))
for _ = 1, 100 do await add(0, 0) end
local done = asyncio.Future()
done:set_result(5)
note(await done)
pcall(function() await add(1, 1) end)
print(log[1], log[2], log[#log - 1], #log)  --> add 3 5 104
await asyncio.sleep(0)
print(log[#log])  --> other
await other
print(#log)  --> 105
