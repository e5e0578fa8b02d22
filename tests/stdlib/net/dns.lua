-- Names: a server of ours gives right, wrong, cut, late and no answers.

local net = require "neap.net"

local function turns(n)
  for _ = 1, n do await asyncio.sleep(0) end
end

-- == A name server ======================================================

local TYPE = {A = 1, PTR = 12, MX = 15, TXT = 16, AAAA = 28, SRV = 33}

local function pack_name(name)
  local parts = {}
  for label in name:gmatch "[^.]+" do
    parts[#parts + 1] = string.pack("s1", label)
  end
  return table.concat(parts) .. "\0"
end

local function texts(...)
  local parts = {}
  for i, text in ipairs {...} do parts[i] = string.pack("s1", text) end
  return table.concat(parts)
end

-- What there is, by name and type: lists of data.
local records = {
  ["both.example"] = {
    A = {"\192\0\2\1", "\192\0\2\2"},
    AAAA = {"\x20\1\13\xb8" .. ("\0"):rep(11) .. "\1"},
  },
  ["four.example"] = {A = {"\192\0\2\4"}},
  ["cut.example"] = {TXT = {texts(("long"):rep(50)), texts "second"}},
  ["example"] = {
    MX = {string.pack(">I2", 20) .. pack_name "b.example",
      string.pack(">I2", 10) .. pack_name "a.example"},
    TXT = {texts("v=spf1 ", "-all"), texts "", texts "other"},
  },
  ["_http._tcp.example"] = {
    SRV = {string.pack(">I2I2I2", 2, 5, 8080) .. pack_name "b.example",
      string.pack(">I2I2I2", 1, 6, 80) .. pack_name "a.example"},
  },
  ["4.2.0.192.in-addr.arpa"] = {PTR = {pack_name "four.example"}},
  ["5.2.0.192.in-addr.arpa"] = {PTR = {pack_name "five.example",
    pack_name "v.example", pack_name "cinq.example"}},
  ["loops.example"] = {MX = {"\0\1\xc0\45"}}, -- a name that is itself
  ["alias.example"] = {},
  ["loop.example"] = {A = {"\127\0\0\1"}},
  ["wrong.example"] = {A = {"\192\0\2\9"}},
  ["late.example"] = {A = {"\192\0\2\8"}},
  ["race.example"] = {A = {"\127\0\0\1"}, AAAA = {("\0"):rep(15) .. "\1"}},
  ["cutrace.example"] = {A = {"\127\0\0\1"}},
}

local function type_name(number)
  for name, n in pairs(TYPE) do
    if n == number then return name end
  end
end

-- Gives the name, the answer to the question in `message`, and its type.
local function answer(message, over_tcp)
  local id, labels, at = message:sub(1, 2), {}, 13
  while message:byte(at) ~= 0 do
    local label, next_at = string.unpack("s1", message, at)
    labels[#labels + 1], at = label, next_at
  end
  local name = table.concat(labels, ".")
  local number = string.unpack(">I2", message, at + 1)
  local question = message:sub(13, at + 4)
  local here = records[name:lower()]
  if name == "alias.example" then
    return name, id .. string.pack(">I2I2I2I2I2", 0x8180, 1, 1, 0, 0)
      .. question .. "\xc0\12" .. string.pack(">I2I2I4s2", 5, 1, 60,
      pack_name "other.example"), type_name(number)
  end
  local list = here and here[type_name(number)] or {}
  local code = here and 0 or 3
  if name == "fails.example" then code = 2 end
  if name == "refused.example" then code = 5 end
  local cut = name:find "^cut" and not over_tcp
  if cut then list = {} end
  local parts = {id, string.pack(">I2I2I2I2I2",
    0x8180 | code | (cut and 0x200 or 0), 1, #list, 0, 0), question}
  for _, data in ipairs(list) do
    parts[#parts + 1] = "\xc0\12"
      .. string.pack(">I2I2I4s2", number, 1, 60, data)
  end
  return name, table.concat(parts), type_name(number)
end

-- A TCP server and a UDP socket on the same port.
local function both()
  while true do
    local tcp = net.listen{}
    local port = tcp:sockname().port
    local ok, udp = pcall(net.udp, {host = "127.0.0.1", port = port})
    if ok then return tcp, udp, port end
    tcp:close() -- somebody else has the other one
  end
end

-- Runs f{servers=} while a name server listens on UDP and TCP. It answers
-- questions of a type in `held` only when that Event is set.
local function with_server(f, held)
  local tcp, udp, port = both()
  local _ <close> = tcp
  local _ <close> = udp
  local over_tcp = asyncio.create_task(tcp:serve(async function(conn)
    while true do
      local head = await conn:read(2)
      if not head then return end
      local size = string.unpack(">I2", head)
      local _, reply = answer(await conn:read_exactly(size), true)
      await conn:write(string.pack(">s2", reply))
    end
  end))
  local late <close> = asyncio.TaskGroup()
  local async function answer_later(event, reply, from)
    await event:wait()
    await udp:send(reply, from.host, from.port)
  end
  local over_udp = asyncio.create_task((async function()
    while true do
      local message, from = await udp:recv()
      local name, reply, kind = answer(message)
      if held and held[kind] then
        late:create_task(answer_later(held[kind], reply, from))
        name = "silent.example"
      end
      if name == "wrong.example" then
        local other = string.char((message:byte(1) + 1) % 256)
        await udp:send(other .. reply:sub(2):gsub("\192\0\2\9", "\9\9\9\9"),
          from.host, from.port)
        await udp:send("\1\2\3", from.host, from.port)
      end
      if name == "late.example" then await asyncio.sleep(0.02) end
      if name == "damaged.example" then reply = reply:sub(1, 14) end
      if name ~= "silent.example" then
        await udp:send(reply, from.host, from.port)
      end
    end
  end)())
  local _ <close> = asyncio.defer(function()
    over_udp:cancel()
    over_tcp:cancel()
    late:cancel()
    await asyncio.wait {over_udp, over_tcp}
  end)
  local server = "127.0.0.1:" .. port
  f(function(options)
    options = options or {}
    options.servers = {server}
    return options
  end)
end

local function sorted(list)
  table.sort(list)
  return list
end

-- == What is found ======================================================

test("a name gives the addresses of both families", async function()
  with_server(function(with)
    equal(sorted(await net.resolve("both.example", with())),
      {"192.0.2.1", "192.0.2.2", "2001:db8::1"})
    equal(sorted(await net.resolve("both.example", with{family = 4})),
      {"192.0.2.1", "192.0.2.2"})
    equal(await net.resolve("both.example", with{family = 6}),
      {"2001:db8::1"})
    equal(sorted(await net.resolve("both.example", with{type = "A"})),
      {"192.0.2.1", "192.0.2.2"})
    equal(await net.resolve("both.example", with{type = "AAAA"}),
      {"2001:db8::1"})
    equal(await net.resolve("four.example", with()), {"192.0.2.4"})
  end)
end)

test("the other kinds of records are tables, the best first",
    async function()
  with_server(function(with)
    equal(await net.resolve("example", with{type = "MX"}), {
      {host = "a.example", priority = 10}, {host = "b.example", priority = 20},
    })
    equal(await net.resolve("_http._tcp.example", with{type = "SRV"}), {
      {host = "a.example", port = 80, priority = 1, weight = 6},
      {host = "b.example", port = 8080, priority = 2, weight = 5},
    })
    equal(await net.resolve("example", with{type = "TXT"}),
      {"v=spf1 -all", "", "other"})
    equal(await net.resolve("192.0.2.4", with{type = "PTR"}),
      {"four.example"})
    equal(await net.resolve("4.2.0.192.in-addr.arpa", with{type = "PTR"}),
      {"four.example"})
  end)
end)

test("an address may have several names", async function()
  with_server(function(with)
    for _, name in ipairs {"192.0.2.5", "5.2.0.192.in-addr.arpa"} do
      equal(await net.resolve(name, with{type = "PTR"}),
        {"five.example", "v.example", "cinq.example"})
    end
  end)
end)

test("an answer that was cut is asked for again over TCP", async function()
  with_server(function(with)
    equal(await net.resolve("cut.example", with{type = "TXT"}),
      {("long"):rep(50), "second"})
  end)
end)

test("an answer to another question is not believed", async function()
  with_server(function(with)
    equal(await net.resolve("wrong.example", with{family = 4}), {"192.0.2.9"})
  end)
end)

-- A name of /etc/hosts and its address, but localhost, which needs no file.
local function known_host()
  local file <close> = io.open "/etc/hosts"
  for line in (file and file:lines() or function() end) do
    local address, name = line:match "^(%d+%.%d+%.%d+%.%d+)%s+([^%s#]+)"
    if name and not name:find "localhost$" then return name, address end
  end
end

local name, address = known_host()

local function hosts_before_servers()
  local silent <close> = net.udp{host = "127.0.0.1"}
  local found = await net.resolve(name, {family = 4,
    servers = {"127.0.0.1:" .. silent:sockname().port}})
  equal(found[1], address)
end

-- Not even about the family that is not there.
local function hosts_instead_of_servers()
  local server <close> = net.listen{host = address}
  local dns <close> = net.udp{host = "127.0.0.1"}
  local port = dns:sockname().port
  local conn <close> = await net.connect(name, server:sockname().port,
    {servers = {"127.0.0.1:" .. port}})
  await dns:send("nothing", "127.0.0.1", port)
  equal(await dns:recv(), "nothing")
end

if name then
  test("/etc/hosts comes before the servers", hosts_before_servers)
  test("who is in /etc/hosts is not asked for", hosts_instead_of_servers)
else
  skip("/etc/hosts comes before the servers", "it names nobody")
end

test("addresses are filtered by their family", async function()
  equal(await net.resolve("1.2.3.4", {family = 4}), {"1.2.3.4"})
  equal(await net.resolve("1.2.3.4", {family = 6}), {})
  equal(await net.resolve("::1", {type = "A"}), {})
end)

test("many names are asked for at once", async function()
  with_server(function(with)
    local asked = {}
    for i = 1, 100 do asked[i] = net.resolve("four.example", with()) end
    for _, found in ipairs(await asyncio.gather(asked)) do
      equal(found, {"192.0.2.4"})
    end
  end)
end)

-- == Connecting by name =================================================

test("connect does not wait for an address of the other family",
    async function()
  local held = {AAAA = asyncio.Event()}
  with_server(function(with)
    local server <close> = net.listen{}
    local connecting = asyncio.create_task(net.connect("race.example",
      server:sockname().port, with()))
    local other <close> = await server:accept()
    local conn <close> = await connecting
    equal(conn:peername().host, "127.0.0.1")
  end, held)
end)

test("connect begins before the other family's answer", async function()
  local ok, server = pcall(net.listen, {host = "::1"})
  if not ok then return end -- a machine without IPv6
  local _ <close> = server
  with_server(function(with)
    local connecting = asyncio.create_task(net.connect("race.example",
      server:sockname().port, with()))
    local other <close> = await server:accept()
    local conn <close> = await connecting
    equal(conn:peername().host, "::1")
  end, {A = asyncio.Event()})
end)

test("an answer that comes after a failure is used", async function()
  local held = {A = asyncio.Event()}
  with_server(function(with)
    local server <close> = net.listen{} -- nobody is at ::1 with this port
    local connecting = asyncio.create_task(net.connect("race.example",
      server:sockname().port, with()))
    for _ = 1, 10 do await asyncio.sleep(0) end
    held.A:set()
    local conn <close> = await connecting
    equal(conn:peername().host, "127.0.0.1")
  end, held)
end)

test("connect understands cut answers, and one family", async function()
  with_server(function(with)
    local server <close> = net.listen{}
    local port = server:sockname().port
    local a <close> = await net.connect("cutrace.example", port, with())
    local b <close> = await net.connect("race.example", port,
      with{family = 4})
    equal(b:peername().host, "127.0.0.1")
    expect_error(asyncio.DNSError, net.connect, "none.example", port, with())
    expect_error(asyncio.DNSError, net.connect, "cutrace.example", port,
      with{family = 6})
  end)
end)

test("connect ends with its limit if no name server answers",
    async function()
  with_server(function(with)
    local e = expect_error(asyncio.TimeoutError, net.connect, "race.example",
      1, with{timeout = 0.02})
    equal(e.message, "connect race.example:1: timed out")
  end, {A = asyncio.Event(), AAAA = asyncio.Event()})
end)

-- == What is not ========================================================

test("each failure has its reason", async function()
  with_server(function(with)
    for name, wanted in pairs {
      ["none.example"] = "EAI_NONAME: no such name",
      ["four.example"] = "EAI_NODATA: the name has no such records",
    } do
      local code, text = wanted:match "(%S+): (.*)"
      local e = expect_error(asyncio.DNSError, net.resolve, name,
        with{type = "MX"})
      equal(e.message, ("resolve %s: %s"):format(name, text))
      equal(e.code, code)
    end
    for _, kind in ipairs {"A", "MX", "SRV", "TXT", "PTR"} do
      local e = expect_error(asyncio.DNSError, net.resolve, "alias.example",
        with{type = kind})
      equal(e.code, "EAI_NODATA")
    end
    local e = expect_error(asyncio.DNSError, net.resolve, "loops.example",
      with{type = "MX"})
    equal(e.message, "resolve loops.example: the name server's answer is "
      .. "damaged")
    -- What c-ares says when the last server fails differs by version.
    for _, name in ipairs {"fails.example", "refused.example"} do
      local e = expect_error(asyncio.DNSError, net.resolve, name, with())
      assert(e.code == "EAI_FAIL" or e.code == "EAI_AGAIN", e.code)
    end
    expect_error(asyncio.DNSError, net.resolve, "none.example", with())
    expect_error(asyncio.DNSError, net.resolve, ("x"):rep(64) .. ".example",
      with())
  end)
end)

test("a server that does not answer runs into the time limit",
    async function()
  with_server(function(with)
    for _, name in ipairs {"silent.example", "damaged.example"} do
      local ok, e = pcall(function()
        return await net.resolve(name, with{timeout = 0.05})
      end)
      assert(not ok)
      if name == "silent.example" then
        assert(asyncio.iserror(e, asyncio.TimeoutError), tostring(e))
        equal(e.message, "resolve silent.example: timed out")
      end
    end
    -- The limit of connect holds for the name as well.
    local e = expect_error(asyncio.TimeoutError, function()
      local _ <close> = asyncio.timeout(0.02)
      await net.resolve("silent.example", with())
    end)
  end)
end)

test("cancelling ends a question, however far it is", async function()
  with_server(function(with)
    for n = 0, 12 do
      local task = asyncio.create_task(net.resolve("late.example", with()))
      turns(n)
      task:cancel()
      await asyncio.wait {task}
      assert(task:cancelled() or task:result())
    end
    equal(await net.resolve("late.example", with{family = 4}), {"192.0.2.8"})
  end)
end)

local function wrong(text, f, ...)
  local e = expect_error(text, f, ...)
  equal(type(e), "string")
  assert(e:find "^%S+%.lua:%d+: ", e)
end

test("wrong options are named, with the caller's line", async function()
  wrong("resolve: family must be 4 or 6", net.resolve, "x", {family = 5})
  wrong("resolve: type must be A, AAAA, MX, SRV, TXT or PTR, not HINFO",
    net.resolve, "x", {type = "HINFO"})
  wrong("resolve: unknown option 'kind'", net.resolve, "x", {kind = "MX"})
  wrong("resolve: servers must be a list of addresses", net.resolve, "x",
    {servers = {}})
  wrong("resolve: servers has 'x:y', which is no address", net.resolve, "x",
    {servers = {"x:y"}})
  for _, server in ipairs {"127.0.0.1:0", "[::1]:65536"} do
    wrong(("resolve: servers has '%s', whose port is none"):format(server),
      net.resolve, "x", {servers = {server}})
  end
  wrong("resolve: timeout must be a number", net.resolve, "x",
    {timeout = "1"})
end)
