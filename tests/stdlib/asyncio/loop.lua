-- the loop: callbacks outside any task, its clock, its handler.

require "tests.cases"

local function loop() return asyncio.get_running_loop() end

case("N01: call_soon passes its arguments, nil among them", "1 nil 3 3",
    async function()
  loop():call_soon(function(...)
    local a, b, c = ...
    log(a, b, c, select("#", ...))
  end, 1, nil, 3)
  await turn()
end)

case("N02: callbacks of one turn run in order, new ones in the next",
    "a / b / turn / c", async function()
  loop():call_soon(function()
    log("a")
    loop():call_soon(log, "c")
  end)
  loop():call_soon(log, "b")
  await turn()
  log("turn")
  await turn()
end)

case("N03: a callback runs outside any task", "misuse / misuse",
    async function()
  local c = turn()
  loop():call_soon(function()
    log(fails(function() await asyncio.sleep(0) end))
    log(fails(function() await c end))
  end)
  await turn()
  asyncio.catch(function() await c end)
end)

case("N04: a callback may make tasks", "task", async function()
  local t
  loop():call_soon(function() t = spawn(async function() log("task") end) end)
  await turn()
  await t
end)

case("N05: a callback's error goes to the handler, with its context",
    "true string Boom: cb nil", async function()
  loop():set_exception_handler(function(l, context)
    log(l == loop(), type(context.message), context.exception, context.task)
  end)
  loop():call_soon(function() error(Boom.new "cb") end)
  await turn()
end)

case("N06: a cancelled handle never runs, and may be cancelled again",
    "end", async function()
  local soon, timer = loop():call_soon(log, "soon"), later(1, log, "later")
  soon:cancel()
  timer:cancel()
  timer:cancel()
  await sleep(3)
  soon:cancel()
  log("end")
end)

case("N07: a handle cancelled after its call does nothing", "x",
    async function()
  local handle = loop():call_soon(log, "x")
  await turn()
  handle:cancel()
end)

case("N08: the clock goes on, and is the loop's", "true true",
    async function()
  local before = asyncio.time()
  await sleep(2)
  local after = loop():time()
  log(after - before >= 2 * U * 0.99, math.type(before) == "float")
end)

case("N09: there is one loop to a machine", "true", async function()
  log(loop() == asyncio.get_running_loop())
end)

case("N10: timers in great number go off in order", "true",
    async function()
  local seen, seed, now = {}, 11, loop():time()
  for _ = 1, 500 do
    seed = (seed * 1103515245 + 12345) % 2147483648
    local when = seed % 60 / 1000
    loop():call_at(now + when, function() seen[#seen + 1] = when end)
  end
  await asyncio.sleep(0.1)
  local right = #seen == 500
  for i = 2, #seen do right = right and seen[i - 1] <= seen[i] end
  log(right)
end)

case("N11: sleeps that end are woken in order of their ends", "true",
    async function()
  local seen, tasks, now = {}, {}, asyncio.time()
  for i = 1, 300 do
    local units = 3 + (i * 37 % 11) / 4
    tasks[i] = spawn(async function()
      await asyncio.sleep(now + units * U - asyncio.time())
      seen[#seen + 1] = units
    end)
  end
  await asyncio.gather(tasks, {})
  local right = #seen == 300
  for i = 2, #seen do right = right and seen[i - 1] <= seen[i] end
  log(right)
end)

case("N12: wrong arguments are refused", "misuse / misuse / misuse / misuse",
    async function()
  log(fails(loop().call_soon, loop(), 1))
  log(fails(loop().call_later, loop(), "soon", print))
  log(fails(function() await asyncio.sleep("long") end))
  log(fails(function() await asyncio.sleep(0 / 0) end))
end)

-- Even where the call is the last thing of its function.
test("misuse is told with the line of the script, tail calls or not",
    async function()
  local lock, cond = asyncio.Lock(), asyncio.Condition()
  local function line() return debug.getinfo(2, "l").currentline end
  for _, f in ipairs{
    function() return lock:release() end,
    function() return cond:notify() end,
    function() return asyncio.Queue():task_done() end,
    function() return asyncio.BoundedSemaphore(1):release() end,
    function() return asyncio.Barrier(0) end,
    function() return asyncio.ContextVar(5) end,
    function() return asyncio.TaskGroup{limit = 0} end,
    function() return cond:wait_for(nil) end,
    function() return asyncio.sleep() end,
  } do
    local here = line() + 1
    local ok, e = pcall(function() local _ = await f() end)
    local text = tostring(e)
    assert(not ok and text:find(":" .. here .. ": ", 1, true), text)
  end
end)

case("N13: a handle that was called can be cancelled all the same",
    "called / false / true / true", async function()
  local loop = asyncio.get_running_loop()
  local soon = loop:call_soon(log, "called")
  local late = loop:call_later(0, function() end)
  await turn()
  await turn()
  log(soon:cancelled())
  soon:cancel()
  late:cancel()
  log(soon:cancelled())
  log(late:cancelled())
end)

case("N14: a handle tells when, as it was asked", "-1.0 / -inf / true / nil",
    async function()
  local later = function() end
  log(loop():call_at(-1, later):when())
  log(loop():call_at(-math.huge, later):when())
  local handle = loop():call_later(1e300, later)
  log(handle:when() == 1e300)
  handle:cancel()
  log(loop():call_soon(later):when())
end)

-- CPython: TypeError "coroutines cannot be used with call_soon()"
case("N15: a callback cannot be an async function", "6", async function()
  local refused = 0
  local async function f() end
  for _, take in ipairs{
    function() loop():call_soon(f) end,
    function() loop():call_later(0, f, 1) end,
    function() loop():call_at(0, f) end,
    function() loop():add_signal_handler("SIGUSR2", f, 1) end,
    function() loop():set_exception_handler(f) end,
    function() asyncio.Future():add_done_callback(f) end,
  } do
    local here = debug.getinfo(take, "S").linedefined
    local ok, e = pcall(take)
    assert(not ok and e:find(":" .. here .. ": a callback cannot be", 1, true),
      e)
    refused = refused + 1
  end
  log(refused)
end)
