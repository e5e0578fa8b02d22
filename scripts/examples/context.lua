--[[
Context variables: values that belong to a task. A new task gets a copy of
its maker's; what it sets afterwards is its own. Here each request carries
its number through functions that know nothing of it.
]]

local request_id = asyncio.ContextVar("request_id", "none")

local function log(text)
  print(("[%s] %s"):format(request_id:get(), text))
end

local async function load_page(seconds)
  await asyncio.sleep(seconds)
  log "page loaded"
end

local async function handle(id, seconds)
  request_id:set(id)
  log "begin"
  await asyncio.create_task(load_page(seconds))
  log "end"
end

log "before"
await asyncio.gather(handle(1, 0.3), handle(2, 0.01))
log "after"

--> [none] before
--> [1] begin
--> [2] begin
--> [2] page loaded
--> [2] end
--> [1] page loaded
--> [1] end
--> [none] after

-- A token puts the former value back.
local token = request_id:set "admin"
log "as admin"       --> [admin] as admin
request_id:reset(token)
log "as before"      --> [none] as before
