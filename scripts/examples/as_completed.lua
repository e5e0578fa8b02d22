--[[
as_completed gives tasks in the order they finish, so that the first answer
can be used while the others are still on their way. Leaving the loop early
cancels nothing.
]]

local async function ask(server, seconds)
  await asyncio.sleep(seconds)
  if server == "venus" then error(asyncio.Error.new "venus is asleep") end
  return "answer from " .. server
end

local questions = {ask("mars", 0.09), ask("pluto", 0.03), ask("venus", 0.06)}
for task in asyncio.as_completed(questions) do
  local ok, answer = pcall(await, task)
  print(ok and answer or "error: " .. answer.message)
end

--> answer from pluto
--> error: venus is asleep
--> answer from mars

-- A time limit for the whole loop; who has not answered by then is not
-- cancelled, so we do that.
local slow = asyncio.create_task(ask("saturn", 10))
local ok, err = pcall(function()
  for task in asyncio.as_completed({ask("io", 0.01), slow},
                                   {timeout = 0.05}) do
    print(await task)
  end
end)
print(ok, err.name)
print(slow:state())
slow:cancel()

--> answer from io
--> false	TimeoutError
--> pending
