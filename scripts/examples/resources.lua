--[[
Resources of your own that take time to open and to close: an async function
makes one, its `__close` awaits what closing needs. It runs at the end of the
scope, after an error and after a cancellation too.
]]

local Connection = {}
Connection.__index = Connection

local async function connect(name)
  await asyncio.sleep(0.005)
  print("open " .. name)
  return setmetatable({name = name}, Connection)
end

async function Connection:query(text)
  await asyncio.sleep(0.005)
  if text == "bad" then error(asyncio.Error.new "query refused") end
  return self.name .. " answers " .. text
end

function Connection:__close(err)
  await asyncio.sleep(0.005)
  print("close " .. self.name .. (err and " after an error" or ""))
end

do
  local a <close> = await connect "a"
  local b <close> = await connect "b"
  print(await a:query "one")
  print(await b:query "two")
end

--> open a
--> open b
--> a answers one
--> b answers two
--> close b
--> close a

local ok, err = pcall(function()
  local c <close> = await connect "c"
  await c:query "bad"
end)
print(err.message)

--> open c
--> close c after an error
--> query refused

local task = asyncio.create_task((async function()
  local d <close> = await connect "d"
  await asyncio.sleep(10)
end)())
await asyncio.sleep(0.1)
task:cancel()
await asyncio.wait {task}
print(task:state())

--> open d
--> close d after an error
--> cancelled

-- A function that needs no object: defer.
local async function transaction(body)
  print "begin"
  local committed
  local _ <close> = asyncio.defer(function()
    await asyncio.sleep(0.005)
    print(committed and "commit" or "rollback")
  end)
  await body()
  committed = true
end

await transaction(async function() await asyncio.sleep(0.005) end)
print((pcall(await, transaction(async function() error "no" end))))

--> begin
--> commit
--> begin
--> rollback
--> false
