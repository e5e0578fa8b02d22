--[[
Cancelling a task: the error is raised at its await, `<close>` scopes clean
up (and may await while they do), a pcall on the way does not stop it, and
whoever awaits the task sees a CancelledError.
]]

local async function flush(what)
  await asyncio.sleep(0.01)
  print(what .. " flushed")
end

local async function worker()
  local _ <close> = asyncio.defer(function() await flush "journal" end)
  while true do
    -- An ordinary error would be caught and the work tried again; a
    -- cancellation passes through.
    local ok, err = pcall(function()
      print "working"
      await asyncio.sleep(0.04)
      error "something went wrong"
    end)
    print("caught, trying again: " .. tostring(not ok))
  end
end

local task = asyncio.create_task(worker())
await asyncio.sleep(0.06)
print "enough"
task:cancel()
print(task:state())  -- the request is made, the clean-up is still to come

local ok, err = pcall(await, task)
print(ok, err.name)
print(task:state())

--> working
--> caught, trying again: true
--> working
--> enough
--> pending
--> journal flushed
--> false	CancelledError
--> cancelled

-- Code that must see its own cancellation uses catch, and raises it again.
local async function polite()
  local ok, err = asyncio.catch(await, asyncio.sleep(10))
  if not ok then
    print("polite was asked to stop: " .. err.message)
    error(err)
  end
end

task = asyncio.create_task(polite())
await asyncio.sleep(0)
task:cancel "closing time"
await asyncio.wait {task}
print(task:cancelled())

--> polite was asked to stop: closing time
--> true

-- What must not be interrupted is shielded: the waiter is cancelled, the
-- work goes on.
local saving = asyncio.create_task(flush "database")
local saver = asyncio.create_task((async function()
  await asyncio.shield(saving)
end)())
await asyncio.sleep(0)
saver:cancel()
await asyncio.wait {saver}
print(saver:state(), saving:state())
await saving

--> cancelled	pending
--> database flushed
