--[[
Where it failed, who was waiting, who began it: a traceback goes from task to
task. This program fails on purpose.
]]

local async function parse(text)
  await asyncio.sleep(0.001)
  return tonumber(text) or error("not a number: " .. text)
end

local async function load_all(list)
  local tasks = {}
  for i, text in ipairs(list) do tasks[i] = parse(text) end
  local numbers = await asyncio.gather(tasks)
  return numbers
end

local loading = asyncio.create_task(load_all {"1", "2", "three"})
print(#await loading)

--!> neap: scripts/examples/traceback.lua:8: not a number: three
--!> stack traceback:
--!> traceback.lua:8: in async function 'parse'
--!> awaited at scripts/examples/traceback.lua:14
--!> awaited at scripts/examples/traceback.lua:19
--!> spawned at scripts/examples/traceback.lua:14
--!> spawned at scripts/examples/traceback.lua:18
--status 1
