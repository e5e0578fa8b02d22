-- A future: a value or an error to come.

require "tests.cases"

local Future = asyncio.Future

local function logger(name)
  return function(future) log(name, future:result()) end
end

case("F01: callbacks run in the order added, in a later turn",
    "after set / c1 7 / c2 7", async function()
  local f = Future()
  f:add_done_callback(logger "c1")
  f:add_done_callback(logger "c2")
  f:set_result(7)
  log("after set")
  await turn()
end)

case("F02: a callback added to a done future runs in a later turn too",
    "after add / c 7", async function()
  local f = Future()
  f:set_result(7)
  f:add_done_callback(logger "c")
  log("after add")
  await turn()
end)

case("F03: a result cannot be set twice", "InvalidStateError / 1",
    async function()
  local f = Future()
  f:set_result(1)
  log(fails(f.set_result, f, 2))
  log(f:result())
end)

case("F04: a pending future has no result and no exception to ask for",
    "InvalidStateError / InvalidStateError / false", async function()
  local f = Future()
  log(fails(f.result, f))
  log(fails(f.exception, f))
  log(f:done())
end)

case("F05: an error is raised by result and by each await",
    "Boom: x / result raised Boom: x / await !! Boom: x / await !! Boom: x",
    async function()
  local f = Future()
  f:set_exception(Boom.new "x")
  log(f:exception())
  log("result raised", fails(f.result, f))
  await tell("await", f)
  await tell("await", f)
end)

case("F06: a cancelled future is done, tells its callbacks, and stays so",
    "true false true true / CancelledError / CancelledError / c true / "
    .. "InvalidStateError", async function()
  local f = Future()
  f:add_done_callback(function(future) log("c", future:cancelled()) end)
  log(f:cancel(), f:cancel(), f:cancelled(), f:done())
  log(fails(f.result, f))
  log(fails(f.exception, f))
  await turn()
  log(fails(f.set_result, f, 1))
end)

case("F07: a future that has a result cannot be cancelled",
    "false false 5", async function()
  local f = Future()
  f:set_result(5)
  log(f:cancel(), f:cancelled(), f:result())
end)

case("F08: removing a callback removes every copy and counts them",
    "2 0 / c2", async function()
  local f = Future()
  local function c1() log("c1") end
  f:add_done_callback(c1)
  f:add_done_callback(function() log("c2") end)
  f:add_done_callback(c1)
  log(f:remove_done_callback(c1), f:remove_done_callback(c1))
  f:set_result(0)
  await turn()
end)

case("F08b: a callback that is on its way cannot be removed",
    "0 / c1", async function()
  local f = Future()
  local function c1() log("c1") end
  f:add_done_callback(c1)
  f:set_result(0)
  log(f:remove_done_callback(c1))
  await turn()
end)

case("F09: those who await a future wake in the order they came",
    "a v / b v / c v", async function()
  local f = Future()
  local tasks = {}
  for i, name in ipairs {"a", "b", "c"} do
    tasks[i] = spawn(async function() log(name, await f) end)
  end
  await turn()
  f:set_result("v")
  await asyncio.wait(tasks)
end)

case("F10: awaiting a future that is cancelled ends the task as cancelled",
    "a !! CancelledError / cancelled 0", async function()
  local f = Future()
  local a = spawn(tell("a", f))
  local b = spawn(async function() await f end)
  await turn()
  f:cancel()
  await asyncio.wait {a, b}
  log(state(b), b:cancelling())
end)

case("F11: an error in a callback goes to the handler and stops nothing",
    "handler Boom: cb / c2 / alive", async function()
  asyncio.get_running_loop():set_exception_handler(function(_, context)
    log("handler", context.exception)
  end)
  local f = Future()
  f:add_done_callback(function() error(Boom.new "cb") end)
  f:add_done_callback(function() log("c2") end)
  f:set_result(1)
  await turn()
  log("alive")
end)

case("F12: a callback added by a callback waits for the next turn",
    "c1 / c2 / turn / c3", async function()
  local f = Future()
  f:add_done_callback(function()
    log("c1")
    f:add_done_callback(function() log("c3") end)
  end)
  f:add_done_callback(function() log("c2") end)
  f:set_result(0)
  await turn()
  log("turn")
  await turn()
end)

case("F13: cancelling a task cancels the future it awaits",
    "true true / cancelled", async function()
  local f = Future()
  local t = spawn(async function() await f end)
  await turn()
  log(t:cancel(), f:cancelled())
  await asyncio.wait {t}
  log(state(t))
end)

case("F14: awaiting a done future takes no turn",
    "3 / no turn / w+ / w-", async function()
  local f = Future()
  f:set_result(3)
  local w = spawn(worker("w", 0))
  log(await f)
  log("no turn")
  await w
end)

case("F16: who awaits the same future is told when another's cancel ends it",
    "a !! CancelledError / b !! CancelledError / true", async function()
  local f = Future()
  local a, b = spawn(tell("a", f)), spawn(tell("b", f))
  await turn()
  a:cancel()
  await asyncio.wait {a, b}
  log(f:cancelled())
end)

case("F18: a cancel in the turn of the result wins over it",
    "true / cancelled / cancelled 1 1", async function()
  local f = Future()
  local a = spawn(async function()
    local ok, err = asyncio.catch(function() log("got", await f) end)
    if not ok then
      log("cancelled")
      error(err, 0)
    end
  end)
  await turn()
  f:set_result(1)
  log(a:cancel())
  await asyncio.wait {a}
  log(state(a), a:cancelling(), f:result())
end)

case("F20: the message of cancel is the error's", "CancelledError / true",
    async function()
  local f = Future()
  f:cancel("why not")
  local ok, err = asyncio.catch(function() await f end)
  log(ok or err)
  log(err.message:find("why not", 1, true) ~= nil)
end)

case("F22: a failed future is done, not cancelled, and cannot be cancelled",
    "true false false / c Boom: x", async function()
  local f = Future()
  f:add_done_callback(function() log("c", f:exception()) end)
  f:set_exception(Boom.new "x")
  log(f:done(), f:cancelled(), f:cancel())
  await turn()
end)

case("F24: a future carries several values, nil among them",
    "nil 2 nil 3 / nil 2 nil 3", async function()
  local f = Future()
  f:set_result(nil, 2, nil)
  local got = table.pack(await f)
  log(got[1], got[2], got[3], got.n)
  got = table.pack(f:result())
  log(got[1], got[2], got[3], got.n)
end)

case("F26: an exception can be any value, and nil is wrapped in an Error",
    "text / true", async function()
  local f, g = Future(), Future()
  f:set_exception("text")
  g:set_exception(nil)
  local _, err = asyncio.catch(function() await f end)
  log(err)
  _, err = asyncio.catch(function() await g end)
  log(asyncio.iserror(err))
end)

case("F28: isfuture knows futures and tasks and nothing else",
    "true true false false false", async function()
  local f = Future()
  local t, c = spawn(turn), turn()
  log(asyncio.isfuture(f), asyncio.isfuture(t), asyncio.isfuture(c),
    asyncio.isfuture({}), asyncio.isfuture(nil))
  await t
  await c
end)
