-- A coroutine that has died of an error keeps its traceback, whether it awaits
-- or not, until it is closed.

local function deep() error "bad" end

local plain = coroutine.create(function()
  deep()
  return 1
end)

local awaits = coroutine.create(function()
  await asyncio.sleep(0)
  deep()
  return 1
end)

for _, co in ipairs {plain, awaits} do
  print(select(2, coroutine.resume(co)))
  print((debug.traceback(co, "died", 1):gsub("\t", "  ")))
  print(coroutine.close(co), debug.traceback(co))
end

--> tests/lang/coroutine_dead.lua:4: bad
--> died
--> stack traceback:
-->   tests/lang/coroutine_dead.lua:4: in upvalue 'deep'
-->   tests/lang/coroutine_dead.lua:7: in function <tests/lang/coroutine_dead.lua:6>
--> false	stack traceback:
--> tests/lang/coroutine_dead.lua:4: bad
--> died
--> stack traceback:
-->   tests/lang/coroutine_dead.lua:4: in upvalue 'deep'
-->   tests/lang/coroutine_dead.lua:13: in function <tests/lang/coroutine_dead.lua:11>
--> false	stack traceback:
