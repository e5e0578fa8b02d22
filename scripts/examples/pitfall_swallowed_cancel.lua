--[[
Pitfall: swallowing a cancellation. pcall cannot: the task's own cancellation
passes through it. asyncio.catch can, and code that uses it must raise what
it has caught; otherwise the task goes on as if nobody had asked.
]]

local async function careless()
  for attempt = 1, 3 do
    pcall(await, asyncio.sleep(0.02))
    print("careless, attempt " .. attempt)
  end
end

local async function stubborn()
  for attempt = 1, 3 do
    asyncio.catch(await, asyncio.sleep(0.02))
    print("stubborn, attempt " .. attempt)
  end
  return "done all the same"
end

local function cancel_soon(x)
  local task = asyncio.create_task(x)
  await asyncio.sleep(0.03)
  task:cancel()
  await asyncio.wait {task}
  print(task:state() .. ", asked " .. task:cancelling())
  return task
end

cancel_soon(careless())
local task = cancel_soon(stubborn())
print(task:result())

--> careless, attempt 1
--> cancelled, asked 1
--> stubborn, attempt 1
--> stubborn, attempt 2
--> stubborn, attempt 3
--> done, asked 1
--> done all the same
