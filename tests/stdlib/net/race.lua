-- The order of RFC 8305, with resolvers and attempts that the tests decide on.

local race = require "neap.net.race"

local NEVER <const> = {resolution = 1000, attempt = 1000}
local AT_ONCE <const> = {resolution = 0, attempt = 0}

local function settle()
  for _ = 1, 5 do await asyncio.sleep(0) end
end

-- A world in which names are looked up and addresses tried. `tried` lists the
-- addresses in their order; each look-up and attempt is a Future, by its
-- family or address.
local function new_world(delays)
  local world = {tried = {}, found = {}, outcome = {}}

  local async function resolve(family)
    world.found[family] = world.found[family] or asyncio.Future()
    return await world.found[family]
  end

  local async function attempt(address)
    table.insert(world.tried, address)
    world.outcome[address] = asyncio.Future()
    return await world.outcome[address]
  end

  local async function run(families)
    return race(families, resolve, attempt, delays)
  end

  function world.start(families)
    world.task = asyncio.create_task(run(families or {6, 4}))
    settle()
  end

  function world.find(family, addresses)
    world.found[family]:set_result(addresses)
    settle()
  end

  function world.fail(address)
    world.outcome[address]:set_exception(asyncio.OSError.new(address))
    settle()
  end

  function world.connect(address)
    local conn = {address = address}
    function conn.close() conn.closed = true end
    world.outcome[address]:set_result(conn)
    settle()
    return conn
  end

  return world
end

test("IPv6 addresses are tried as soon as they come", async function()
  local world = new_world(NEVER)
  world.start()
  world.find(6, {"a6"})
  equal(world.tried, {"a6"})
  world.connect "a6"
  equal((await world.task).address, "a6")
end)

test("IPv4 addresses that come first wait for the others", async function()
  local world = new_world(NEVER)
  world.start()
  world.find(4, {"a4"})
  equal(world.tried, {})
  world.find(6, {"a6"})
  equal(world.tried, {"a6"})
  world.connect "a6"
  await world.task
end)

test("they wait no longer than the delay", async function()
  local world = new_world {resolution = 0.001, attempt = 1000}
  world.start()
  world.found[4]:set_result {"a4"}
  repeat await asyncio.sleep(0.001) until world.outcome.a4
  equal(world.tried, {"a4"})
  world.connect "a4"
  equal((await world.task).address, "a4")
end)

test("they do not wait once there are no others", async function()
  local world = new_world(NEVER)
  world.start()
  world.find(4, {"a4"})
  world.found[6]:set_exception(asyncio.DNSError.new "none")
  settle()
  equal(world.tried, {"a4"})
  world.connect "a4"
  await world.task
end)

test("the families take turns", async function()
  local world = new_world(NEVER)
  world.start()
  world.find(6, {"a6", "b6", "c6"})
  world.find(4, {"a4", "b4"})
  for _, address in ipairs {"a6", "a4", "b6", "b4"} do
    equal(world.tried[#world.tried], address)
    world.fail(address)
  end
  equal(world.tried, {"a6", "a4", "b6", "b4", "c6"})
  world.connect "c6"
  await world.task
end)

test("what comes late takes its turn", async function()
  local world = new_world(NEVER)
  world.start()
  world.find(6, {"a6", "b6"})
  world.fail "a6"
  equal(world.tried, {"a6", "b6"})
  world.find(4, {"a4"})
  world.fail "b6"
  equal(world.tried, {"a6", "b6", "a4"})
  world.connect "a4"
  await world.task
end)

test("the next waits for its delay, or for a failure", async function()
  local world = new_world(NEVER)
  world.start()
  world.find(4, {"a4", "b4"})
  world.find(6, {"a6"})
  equal(world.tried, {"a6"})
  world.fail "a6"
  equal(world.tried, {"a6", "a4"})
  world.connect "a4"
  await world.task

  world = new_world(AT_ONCE)
  world.start()
  world.find(6, {"a6", "b6"})
  while #world.tried < 2 do await asyncio.sleep(0) end
  equal(world.tried, {"a6", "b6"})
  world.connect "b6"
  equal((await world.task).address, "b6")
  assert(world.outcome.a6:cancelled())
end)

test("one that wins too late is closed", async function()
  local world = new_world(AT_ONCE)
  world.start()
  world.find(6, {"a6", "b6"})
  while #world.tried < 2 do await asyncio.sleep(0) end
  local first = {close = function(conn) conn.closed = true end}
  local second = {close = function(conn) conn.closed = true end}
  world.outcome.a6:set_result(first)
  world.outcome.b6:set_result(second)
  equal(await world.task, first)
  assert(second.closed and not first.closed)
end)

test("the last failure is raised", async function()
  local world = new_world(NEVER)
  world.start()
  world.find(6, {"a6"})
  world.find(4, {})
  world.fail "a6"
  local e = expect_error(asyncio.OSError, function() await world.task end)
  equal(e.message, "a6")
end)

test("without any address, the reason of the names is", async function()
  local world = new_world(NEVER)
  world.start()
  world.found[6]:set_exception(asyncio.DNSError.new("no data",
    {code = "EAI_NODATA"}))
  settle()
  world.found[4]:set_exception(asyncio.DNSError.new("no answer",
    {code = "EAI_AGAIN"}))
  local e = expect_error(asyncio.DNSError, function() await world.task end)
  equal(e.code, "EAI_AGAIN")
end)

test("one family alone is looked up alone", async function()
  local world = new_world(NEVER)
  world.start {4}
  world.find(4, {"a4"})
  equal(world.tried, {"a4"})
  equal(world.found[6], nil)
  world.connect "a4"
  await world.task
end)

test("cancelling ends all of it, at each await", async function()
  local steps = {
    function() end,
    function(world) world.find(4, {"a4"}) end,
    function(world) world.find(6, {"a6"}) end,
    function(world) world.fail "a6" end,
  }
  for last = 1, #steps do
    local world = new_world(NEVER)
    world.start()
    for i = 1, last do steps[i](world) end
    world.task:cancel()
    await asyncio.wait {world.task}
    assert(world.task:cancelled())
    for _, future in pairs(world.outcome) do assert(future:done()) end
  end
end)

test("who is cancelled when somebody has won closes that", async function()
  local world = new_world(NEVER)
  world.start()
  world.find(6, {"a6"})
  local conn = {close = function(self) self.closed = true end}
  world.outcome.a6:set_result(conn)
  world.task:cancel()
  await asyncio.wait {world.task}
  assert(world.task:cancelled())
  assert(conn.closed or world.outcome.a6:cancelled())
end)

test("unless told otherwise, 0.05 seconds for IPv6 and 0.25 for the next",
    async function()
  local get, now, deadline, ring = asyncio.get_running_loop, 100, nil, nil
  local loop = {time = function() return now end}
  function loop.call_at(_, at, f, event)
    deadline, ring = at, function() f(event) settle() end
    return {cancel = function() end}
  end
  local world = new_world()
  do
    asyncio.get_running_loop = function() return loop end
    local _ <close> = asyncio.defer(function()
      asyncio.get_running_loop = get
    end)
    world.start()
  end
  world.find(4, {"a4", "b4"})
  equal(world.tried, {})
  equal(deadline, 100.05)
  now = deadline
  ring()
  equal(world.tried, {"a4"})
  equal(deadline, 100.05 + 0.25)
  now = deadline
  ring()
  equal(world.tried, {"a4", "b4"})
  world.connect "a4"
  await world.task
end)
