-- The stack of a task has the generators that it is in, innermost first.

local function numbers()
  return coroutine.wrap(function()
    await asyncio.sleep(10)
  end)
end

local function waits()
  local co = coroutine.create(function()
    numbers()()
  end)
  coroutine.resume(co)
end

local function show(text)
  for line in text:gmatch "lua:(%d+): in [fum][uapn][^\n]*" do print(line) end
end

local async function body() waits() end
local task = asyncio.create_task(body())
await asyncio.sleep(0)
show(task:traceback())
--> 5
--> 11
--> 13
task:cancel()

coroutine.wrap(function()
  show(asyncio.current_task():traceback())
end)()
--> 30
--> 29
