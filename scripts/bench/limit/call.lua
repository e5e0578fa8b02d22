-- call.lua - the limit of `await f(x)`: the plain call f(x), in a loop, in fib
-- 100 deep and 10,000 deep; ns a call.

local clock = os.clock

local function f(x) return x end

local function fib(n)
  if n < 2 then return n end
  return fib(n - 1) + fib(n - 2)
end

local function deep(n)
  if n == 0 then return 0 end
  return 1 + deep(n - 1)
end

local function report(name, calls, run)
  run()
  local start = clock()
  run()
  print(name, (clock() - start) * 1e9 / calls)
end

report("call", 5e6, function ()
  local sum = 0
  for i = 1, 5000000 do sum = sum + f(i) end
end)

report("fib", 1028457, function ()  -- so many calls does fib(28) make
  assert(fib(28) == 317811)
end)

report("deep", 100 * 20000, function ()
  for _ = 1, 20000 do deep(100) end
end)

report("deep10k", 10000 * 100, function ()
  for _ = 1, 100 do assert(deep(10000) == 10000) end
end)
