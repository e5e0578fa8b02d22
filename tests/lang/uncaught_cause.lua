-- An error that another one has led to is shown with it.

local function risky() error "no such user" end

local async function load_user()
  local _, e = pcall(risky)
  await asyncio.sleep(0)
  error(asyncio.Error.new("load_user failed", {cause = e}))
end

local async function main()
  local _, e = pcall(await, asyncio.create_task(load_user()))
  error(asyncio.Error.new("main failed", {cause = e}))
end

await main()

--!> uncaught_cause.lua:13: main failed
--!> error(asyncio.Error.new("main failed", {cause = e}))
--!> in main chunk
--!> caused by tests/lang/uncaught_cause.lua:8: load_user failed
--!> stack traceback:
--!> in async function 'load_user'
--!> caused by tests/lang/uncaught_cause.lua:3: no such user
--!> error "no such user"
--status 1
