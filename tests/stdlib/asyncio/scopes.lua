-- scopes, iteration and context: <close>, generators, ContextVar.

require "tests.cases"

case("V01: an iterator may await; other tasks run meanwhile",
    "w+ / 0 / w- / 1 / 2", async function()
  local w = spawn(worker("w", 3))
  local values = coroutine.wrap(function()
    for i = 0, 2 do
      await sleep(2)
      coroutine.yield(i)
    end
  end)
  for i in values do log(i) end
  await w
end)

case("V02: a generator that is left early can be closed, and cleans up",
    "0 / 1 / closed / out", async function()
  local values = coroutine.create(function()
    local _ <close> = finally(function()
      await turn()
      log("closed")
    end)
    for i = 0, 4 do
      await turn()
      coroutine.yield(i)
    end
  end)
  for _ = 0, 1 do
    local _, i = coroutine.resume(values)
    log(i)
  end
  coroutine.close(values)
  log("out")
end)

case("V02b: a generator that fails cleans up, and keeps its error",
    "1 / closed / false bad", async function()
  local values = coroutine.wrap(function()
    local _ <close> = finally(function()
      await turn()
      log("closed")
    end)
    coroutine.yield(1)
    error("bad", 0)
  end)
  local ok, err = pcall(function()
    for i in values do log(i) end
  end)
  log(ok, err:match "bad")
end)

case("V02c: a generator cancelled with its task cleans up",
    "1 / closed / cancelled", async function()
  local t = spawn(async function()
    local values = coroutine.wrap(function()
      local _ <close> = finally(function()
        await turn()
        log("closed")
      end)
      coroutine.yield(1)
      await sleep(50)
    end)
    for i in values do log(i) end
  end)
  await turn()
  t:cancel()
  await asyncio.wait {t}
  log(state(t))
end)

case("V02d: a group in a generator ends with its task's cancellation",
    "x+ / x~ / x. / closed / cancelled", async function()
  local t = spawn(async function()
    local values = coroutine.wrap(function()
      local _ <close> = setmetatable({}, {__close = function()
        await turn()
        log("closed")
      end})
      local tg <close> = asyncio.TaskGroup()
      tg:create_task(worker("x", 50, {clean = 1}))
      await sleep(50)
      coroutine.yield(1)
    end)
    for i in values do log(i) end
  end)
  await sleep(1)
  t:cancel()
  await asyncio.wait {t}
  log(state(t))
end)

case("V02e: pcall around a generator waits for its clean-up",
    "1 / closed / false Boom: x / after", async function()
  local values = coroutine.wrap(function()
    local _ <close> = setmetatable({}, {__close = function()
      await sleep(1)
      log("closed")
    end})
    coroutine.yield(1)
    error(Boom.new "x")
  end)
  log(values())
  log(pcall(values))
  log("after")
end)

-- A resource whose opening and closing await.
local async function open(name)
  await turn()
  log("enter", name)
  return setmetatable({}, {__close = function(_, err)
    await turn()
    log("exit", name, err)
  end})
end

case("V03: both exits of nested scopes run, inner first, and may await",
    "enter a / enter b / exit b Boom: x / exit a Boom: x / out Boom: x",
    async function()
  local _, err = pcall(function()
    local _ <close> = await open "a"
    local _ <close> = await open "b"
    error(Boom.new "x")
  end)
  log("out", err)
end)

case("V04: exits run on an ordinary end too, with no error",
    "enter a / body / exit a nil / out", async function()
  do
    local _ <close> = await open "a"
    log("body")
  end
  log("out")
end)

case("V05: a child sees the values at its spawn and keeps its own",
    "child parent / child child / parent later", async function()
  local var = asyncio.ContextVar "var"
  var:set("parent")
  local t = spawn(async function()
    log("child", var:get())
    var:set("child")
    await turn()
    log("child", var:get())
  end)
  var:set("later")
  await t
  log("parent", var:get())
end)

case("V06: default, set and reset, and a call shares its caller's values",
    "d / misuse / 1 / d / inner", async function()
  local var = asyncio.ContextVar("var", "d")
  local bare = asyncio.ContextVar "bare"
  log(var:get())
  log(fails(bare.get, bare))
  local token = var:set(1)
  log(var:get())
  var:reset(token)
  log(var:get())
  local async function f() var:set("inner") end
  await f()
  log(var:get())
end)

case("V07: a token is good once, and for its variable in its task",
    "misuse / misuse / misuse / 1 / d / misuse", async function()
  local var = asyncio.ContextVar("var", "d")
  local other = asyncio.ContextVar "other"
  local token = var:set(1)
  log(fails(other.reset, other, token))
  log(fails(var.reset, var, "token"))
  await asyncio.create_task((async function()
    log(fails(var.reset, var, token))
  end)())
  log(var:get())
  var:reset(token)
  log(var:get())
  log(fails(var.reset, var, token))
end)

case("V08: a callback sees the values of the moment it was asked for",
    "cb x", async function()
  local var = asyncio.ContextVar("var", "d")
  var:set("x")
  asyncio.get_running_loop():call_soon(function() log("cb", var:get()) end)
  var:set("y")
  await turn()
end)

case("V10: awaits work in metamethods", "3 / got k / 7", async function()
  local class = {
    __add = function(a, b) await turn() return a.n + b.n end,
    __index = function(_, key) await turn() return "got " .. key end,
    __call = function(_, x) return await sleep(0, x) end,
  }
  local a, b = setmetatable({n = 1}, class), setmetatable({n = 2}, class)
  log(a + b)
  log(a.k)
  log(a(7))
end)

case("V12: __await tells how to await any value", "5 / 6 / misuse",
    async function()
  local f = asyncio.Future()
  f:set_result(5)
  log(await setmetatable({}, {__await = function() return f end}))
  local async function six() return 6 end
  log(await setmetatable({}, {__await = function() return six() end}))
  log(fails(function()
    await setmetatable({}, {__await = function() return 5 end})
  end))
end)

case("V14: two generators in two tasks do not disturb each other",
    "a1 / b1 / a2 / b2", async function()
  local function values(name)
    return coroutine.wrap(function()
      for i = 1, 2 do
        await sleep(2)
        coroutine.yield(name .. i)
      end
    end)
  end
  local async function run(name)
    for value in values(name) do log(value) end
  end
  local a = spawn(run "a")
  await sleep(1)
  await asyncio.wait {a, spawn(run "b")}
end)

case("V06: what a callback makes has the values of who asked for it",
    "soon parent / task parent / gather parent / gather parent / here later",
    async function()
  local var = asyncio.ContextVar("var", "none")
  local loop = asyncio.get_running_loop()
  local async function show(name) log(name, var:get()) end
  var:set("parent")
  local made = asyncio.Future()
  loop:call_soon(function()
    log("soon", var:get())
    loop:call_soon(function()
      local task = spawn(show("task"))
      made:set_result({task, asyncio.gather(show("gather"), show("gather"))})
    end)
  end)
  var:set("later")
  await asyncio.wait(await made)
  await show("here")
end)
