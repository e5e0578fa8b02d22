-- An error that somebody has seen, or that a handler took, is not reported.

local async function fails() error "seen" end

local seen = asyncio.create_task(fails())
print((pcall(function() await seen end)))  --> false
local asked = asyncio.create_task(fails())
await asyncio.sleep(0)
print(asked:exception() ~= nil)  --> true
local waited = asyncio.create_task(fails())
await asyncio.wait {waited}
print((pcall(waited.result, waited)))  --> false
local cancelled = asyncio.create_task(fails())
cancelled:cancel()

asyncio.get_running_loop():set_exception_handler(function(loop, context)
  print(loop == asyncio.get_running_loop(), type(context.message),
    tostring(context.exception):match "seen", asyncio.isfuture(context.task))
end)
asyncio.create_task(fails())
await asyncio.sleep(0)
await asyncio.sleep(0)
collectgarbage()
await asyncio.sleep(0)  --> true string seen true
