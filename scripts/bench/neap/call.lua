-- call.lua - `await f(x)` where f does not suspend: in a loop, in fib, 100 deep
-- and 10,000 deep. Prints processor ns a call.

local clock = os.clock

local async function f(x) return x end

local async function fib(n)
  if n < 2 then return n end
  return await fib(n - 1) + await fib(n - 2)
end

local async function deep(n)
  if n == 0 then return 0 end
  return 1 + await deep(n - 1)
end

local function report(name, calls, run)
  run()
  local start = clock()
  run()
  print(name, (clock() - start) * 1e9 / calls)
end

report("call", 5e6, function ()
  local sum = 0
  for i = 1, 5000000 do sum = sum + await f(i) end
end)

report("fib", 1028457, function ()  -- so many calls does fib(28) make
  assert(await fib(28) == 317811)
end)

report("deep", 100 * 20000, function ()
  for _ = 1, 20000 do await deep(100) end
end)

report("deep10k", 10000 * 100, function ()
  for _ = 1, 100 do assert(await deep(10000) == 10000) end
end)
