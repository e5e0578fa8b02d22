-- plain.lua - plain Lua programs that await nothing. lua5.4 runs this file and
-- neap runs it too: neap must slow nothing down. Prints ms of each.

local clock = os.clock

local function report(name, run)
  collectgarbage()
  local start = clock()
  run()
  print("plain." .. name, (clock() - start) * 1e3)
end

local function fib(n)
  if n < 2 then return n end
  return fib(n - 1) + fib(n - 2)
end

report("fib", function () assert(fib(30) == 832040) end)

report("tables", function ()
  local live = {}
  for i = 1, 700000 do
    live[i % 1000 + 1] = {id = i, name = "n", next = live[i % 500]}
    if live[i % 1000 + 1].next then live[i % 1000 + 1].next.next = nil end
  end
end)

report("strings", function ()
  local parts = {}
  for i = 1, 150000 do parts[#parts + 1] = "item " .. i .. ";" end
  local n = 0
  for number in table.concat(parts):gmatch("%d+") do n = n + #number end
  assert(n == 788895)
end)

report("pcall", function ()
  local function check(i)
    if i % 10 == 0 then error("tenth") end
    return i
  end
  local good = 0
  for i = 1, 700000 do
    if pcall(check, i) then good = good + 1 end
  end
  assert(good == 630000)
end)

report("coroutines", function ()
  local function range(n)
    return coroutine.wrap(function ()
      for i = 1, n do coroutine.yield(i) end
    end)
  end
  local sum = 0
  for _ = 1, 1000 do
    for i in range(1000) do sum = sum + i end
  end
  assert(sum == 500500000)
end)

report("sort", function ()
  local numbers, seed = {}, 42
  for i = 1, 60000 do
    seed = (seed * 1103515245 + 12345) % 2147483648
    numbers[i] = seed
  end
  table.sort(numbers, function (a, b) return a > b end)
  assert(numbers[1] > numbers[#numbers])
end)

report("methods", function ()
  local Point = {}
  Point.__index = Point
  function Point:move(x, y) self.x, self.y = self.x + x, self.y + y end
  local p = setmetatable({x = 0, y = 0}, Point)
  for _ = 1, 3000000 do p:move(1, 2) end
  assert(p.x == 3000000)
end)

report("closures", function ()
  local function counter(n)
    return function () n = n + 1 return n end
  end
  local sum = 0
  for i = 1, 800000 do
    local next_number = counter(i)
    sum = sum + next_number() + next_number()
  end
  assert(sum > 0)
end)
