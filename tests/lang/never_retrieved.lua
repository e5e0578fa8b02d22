-- An error that nobody retrieved is reported, and the status is 1.

local async function fails() error "lost in a task" end

asyncio.create_task(fails(), {name = "forgotten"})
await asyncio.sleep(0)
await asyncio.sleep(0)
collectgarbage()
await asyncio.sleep(0)
print "end"  --> end

--!> never_retrieved.lua:3: lost in a task
--status 1
