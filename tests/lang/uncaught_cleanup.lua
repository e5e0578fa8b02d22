-- When the main chunk fails, clean-up runs everywhere before the end.

local function cleaned(name)
  return asyncio.defer(function()
    await asyncio.sleep(0)
    print(name .. " cleaned")
  end)
end

asyncio.create_task((async function()
  local _ <close> = cleaned "task"
  await asyncio.sleep(100)
end)())
local _ <close> = cleaned "main"
await asyncio.sleep(0)
error "over"

--> main cleaned
--> task cleaned
--!> neap: tests/lang/uncaught_cleanup.lua:16: over
--status 1
