-- run.lua - runs the limit programs, neap and the peers in turn, takes medians
-- and prints the table of `make bench`. Started by run.sh, with plain lua5.4.
--
-- A program prints lines `name value`. A run is one program of one contestant;
-- its names become rows with the run's prefix before them. Timing never fails:
-- a program that does fails its own cells, and its message stands below.

local B, BENCH, NEAP = os.getenv("B"), os.getenv("BENCH"), os.getenv("NEAP")
local ROUNDS = tonumber(os.getenv("ROUNDS") or "") or 5
local PEERS = math.min(tonumber(os.getenv("PEERS") or "") or 2, ROUNDS)
local ONLY = os.getenv("ONLY") or ""

-- == What is measured ====================================================

-- group, name, title, unit, goal: `times` and `least` are neap / limit at most
-- and at least, `most` and `floor` are absolute; no goal: for information.
-- `limit` is the limit's name where it is another; `best` takes the better
-- quartile of the runs instead of their median.
local rows = {
  {"switch", "switch0", "switch, depth 0", "ns", times = 1.5},
  {"switch", "switch20", "switch, depth 20", "ns", times = 1.5},
  {"call", "call", "await f(x) in a loop", "ns", times = 2},
  {"call", "fib", "await in fib", "ns", times = 2},
  {"call", "deep", "await 100 deep", "ns", times = 2},
  {"call", "deep10k", "await 10,000 deep", "ns", times = 2},
  {"spawn", "spawn", "gather 1e5 trivial", "ns", times = 3},
  {"spawn", "spawn.object", "  with an object per task", "ns"},
  {"spawn", "spawn.new", "  on new threads", "ns"},
  {"suspend", "first", "1e5 suspend once, first", "ns", times = 1.25},
  {"suspend", "first.object", "  with an object per task", "ns"},
  -- Without objects later waves make no garbage, and the collector, which is
  -- most of their cost, would be left out.
  {"suspend", "later", "1e5 suspend once, later", "ns", times = 1.25,
   limit = "later.object"},
  {"suspend", "later.bare", "  without objects", "ns", limit = "later"},
  {"sleep", "1e5.cpu", "1e5 sleepers, CPU each", "us", times = 1.25},
  {"sleep", "1e5.rss", "1e5 sleepers, memory each", "B", most = 1300},
  {"sleep", "1e5.late", "1e5 sleepers, beyond 1 s", "ms"},
  {"sleep", "1e6.cpu", "1e6 sleepers, CPU each", "us", times = 1.25},
  {"sleep", "1e6.rss", "1e6 sleepers, memory each", "B", most = 1300},
  {"sleep", "1e6.late", "1e6 sleepers, beyond 1 s", "ms"},
  {"queue", "queue", "queue of 10", "M/s", least = 0.8},
  {"timeout", "timeout", "timeout scope, beyond await", "ns", most = 150},
  -- Some server processes are 25 % slower than others for all their life,
  -- those in plain C too: medians would compare how often that was.
  {"echo", "echo64", "echo 64 B, 50 conns", "k/s", least = 0.9, best = 0.75},
  {"echo", "echo64.cpu", "  server CPU each", "us", best = 0.25},
  {"echo", "echo16k", "echo 16 KiB, 50 conns", "k/s", least = 0.8,
   best = 0.75},
  {"echo", "echo16k.cpu", "  server CPU each", "us", best = 0.25},
  {"echo", "buffer16k", "  with a buffer", "k/s", least = 0.8, best = 0.75,
   limit = "echo16k"},
  {"echo", "buffer16k.cpu", "  server CPU each", "us", best = 0.25,
   limit = "echo16k.cpu"},
  {"many", "many64", "echo 64 B, 1,000 conns", "k/s", least = 0.9,
   best = 0.75},
  {"many", "many64.cpu", "  server CPU each", "us", best = 0.25},
  {"many", "many16k", "echo 16 KiB, 1,000 conns", "k/s", least = 0.8,
   best = 0.75},
  {"many", "many16k.cpu", "  server CPU each", "us", best = 0.25},
  {"many", "manybuf16k", "  with a buffer", "k/s", least = 0.8, best = 0.75,
   limit = "many16k"},
  {"many", "manybuf16k.cpu", "  server CPU each", "us", best = 0.25,
   limit = "many16k.cpu"},
  {"idle", "idle", "10,000 idle conns, memory", "B", most = 3072},
  {"tls", "tls64", "TLS echo 64 B, 50 conns", "k/s", least = 0.8, best = 0.75},
  {"tls", "tls64.cpu", "  server CPU each", "us", times = 1.25, best = 0.25},
  {"tls", "tls16k", "TLS echo 16 KiB, 50 conns", "k/s", least = 0.8,
   best = 0.75},
  {"tls", "tls16k.cpu", "  server CPU each", "us", times = 1.25, best = 0.25},
  {"tls", "handshake", "TLS handshake, server CPU", "us", times = 1.1,
   best = 0.25},
  {"files", "files", "reading 1e4 files, each", "us", times = 3},
  {"children", "children", "running `true` 1e3 times", "us", times = 1.5},
  {"machine", "machine", "a machine made and freed", "us", times = 3},
  {"machine", "machine.kib", "  memory of each of 1000", "KiB", most = 150},
  {"machine", "ccall", "call from C, no wait", "ns", most = 1000},
  {"native", "native", "await f(x) of C's, no wait", "ns", times = 2},
  {"token", "token", "tokens of another thread", "k/s", floor = 500},
  {"token", "submit", "callbacks of another thread", "k/s"},
  {"start", "start", "start of an empty script", "ms", times = 1.6},
  {"start", "start.rss", "  its memory", "MB"},
}

for _, name in ipairs {"fib", "tables", "strings", "pcall", "coroutines",
                       "sort", "methods", "closures"} do
  -- 1.0 is the goal; 5 % is what two runs of the same binary may differ.
  rows[#rows + 1] = {"plain", "plain." .. name, "plain Lua: " .. name, "ms",
                     times = 1.05}
end

-- group, contestant, command, and options: `prefix` of its names, `rounds` it
-- takes part in at most, `turn` within a round.
local runs = {}

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local function add(group, who, command, options)
  local run = options or {}
  run.group, run.who, run.command = group, who, command
  runs[#runs + 1] = run
end

-- The files that are read, and the certificate of TLS servers, if there is
-- one.
local FILES = quote(B .. "/bench/data")
local CERT = os.getenv("CERT") ~= "" and quote(os.getenv("CERT"))

local function built(name) return quote(B .. "/bench/" .. name) .. " " end
local function file(name) return quote(BENCH .. "/" .. name) .. " " end

local function output(command)
  local pipe <close> = io.popen(command .. " 2>/dev/null")
  return (pipe:read("a"):gsub("%s+$", ""))
end

-- A million tasks need 1.5 GB; without twice as much they are left out.
local MILLION <const> = 1000000
local roomy = 3 * MILLION < (tonumber(output(
  "sed -n 's/^MemAvailable: *\\([0-9]*\\).*/\\1/p' /proc/meminfo")) or 0)

local function add_sleepers(who, program)
  add("sleep", who, program .. "100000", {prefix = "1e5."})
  if not roomy then return end
  add("sleep", who, program .. MILLION, {prefix = "1e6.", rounds = 3})
end

local function add_limits()
  local lua = "lua5.4 "
  add("switch", "limit", built "switch")
  add("call", "limit", lua .. file "limit/call.lua")
  add("spawn", "limit", built "spawn" .. "pooled")
  add("spawn", "limit", built "spawn" .. "pooled object")
  add("spawn", "limit", built "spawn" .. "new")
  add("suspend", "limit", built "spawn" .. "suspend")
  add("suspend", "limit", built "spawn" .. "suspend object")
  add_sleepers("limit", built "sleepers")
  add("queue", "limit", lua .. file "limit/queue.lua")
  add("timeout", "limit", built "wheel")
  add("files", "limit", built "files" .. FILES, {core = -1})
  add("children", "limit", built "children", {core = -1})
  add("machine", "limit", built "machine")
  add("native", "limit", built "native")
  add("start", "limit",
      built "start" .. "100 lua5.4 " .. file "limit/empty.lua")
  add("plain", "limit", lua .. file "limit/plain.lua")
end

local function add_neap()
  local neap = quote(NEAP) .. " "
  for _, name in ipairs {"switch", "call", "spawn", "queue", "timeout"} do
    add(name, "neap", neap .. file("neap/" .. name .. ".lua"))
  end
  add("suspend", "neap", neap .. file "neap/spawn.lua" .. "suspend")
  add_sleepers("neap", neap .. file "neap/sleepers.lua")
  add("files", "neap", neap .. file "neap/files.lua" .. FILES, {core = -1})
  add("children", "neap", neap .. file "neap/children.lua", {core = -1})
  add("machine", "neap", built "neap_machine")
  add("native", "neap", built "neap_native")
  add("token", "neap", built "neap_token", {core = -1})
  add("start", "neap",
      built "start" .. "100 " .. neap .. file "limit/empty.lua")
  add("plain", "neap", neap .. file "limit/plain.lua")
end

local function add_load(group, who, command, options)
  for turn = 1, 2 do
    local run = {turn = turn}
    for key, value in pairs(options) do run[key] = value end
    add(group, who, command, run)
  end
end

local function add_echo(who, server, warm_ms, rounds)
  local load = built "load"
  local tail = warm_ms .. " " .. server
  local options = {rounds = rounds}
  add_load("echo", who, load .. "echo64 64 50 " .. tail, options)
  add_load("echo", who, load .. "echo16k 16384 50 " .. tail, options)
  add_load("many", who, load .. "many64 64 1000 " .. tail, options)
  add_load("many", who, load .. "many16k 16384 1000 " .. tail, options)
  add("idle", who, load .. "idle 0 10000 " .. tail,
      {rounds = math.min(rounds or 3, 3)})
end

local function add_tls(who, server, warm_ms, rounds)
  if not CERT then return end
  local load, tail = built "tls_load", warm_ms .. " " .. server .. " " .. CERT
  local options = {rounds = rounds}
  add_load("tls", who, load .. "tls64 64 50 " .. tail, options)
  add_load("tls", who, load .. "tls16k 16384 50 " .. tail, options)
  add_load("tls", who, load .. "handshake 0 1 " .. tail, options)
end

-- A peer has the same programs in one file; echo is apart, in two styles.
local function add_peer(who, program, echo, styles, warm_ms)
  local once = {switch = "switch", call = "call", spawn = "spawn",
                suspend = "suspend_waves", queue = "queue",
                timeout = "timeout"}
  for group, name in pairs(once) do
    add(group, who, program .. name, {rounds = PEERS})
  end
  add("sleep", who, program .. "sleepers", {prefix = "1e5.", rounds = PEERS})
  for _, name in ipairs {"files", "children"} do
    add(name, who, program .. name .. " " .. FILES,
        {core = -1, rounds = PEERS})
  end
  add("start", who, built "start" .. "10 " .. program .. "start",
      {rounds = PEERS})
  for _, style in ipairs(styles) do
    add_echo(who .. " " .. style, echo .. style, warm_ms, PEERS)
    add_tls(who .. " " .. style, echo .. style, warm_ms, PEERS)
  end
end

-- The Python that has uvloop stands for asyncio too, so that both are one.
local function add_python()
  local python
  for _, path in ipairs {"/usr/bin/python3", "python3"} do
    local has = output(path .. " -c 'import sys; print(sys.version_info >= " ..
                       "(3, 11))\nimport uvloop; print(1)'")
    if has:find("True") and (not python or has:find("1$")) then
      python = {path = path, uvloop = has:find("1$")}
      if python.uvloop then break end
    end
  end
  if not python then return end
  for _, who in ipairs {"asyncio", python.uvloop and "uvloop" or nil} do
    add_peer(who, python.path .. " " .. file "peer/loop.py" .. who .. " ",
             python.path .. " " .. file "peer/echo.py" .. who .. " ",
             {"streams", "protocol"}, 300)
  end
end

local function add_node()
  if output("node --version") == "" then return end
  add_peer("node", "node " .. file "peer/loop.mjs", "node " .. file
           "peer/echo.mjs", {"callback", "await"}, 1000)
end

-- == Running =============================================================

local function wanted(group)
  return ONLY == "" or ("," .. ONLY .. ","):find("," .. group .. ",", 1, true)
end

local samples = {}  -- samples[who][name] is a list of values
local failures = {}  -- failures[who .. group] is a message

local function keep(who, name, value)
  samples[who] = samples[who] or {}
  samples[who][name] = samples[who][name] or {}
  table.insert(samples[who][name], value)
end

local function perform(run)
  local errors = os.tmpname()
  local pin = built "pin" .. (run.core or 1) .. " 30 "
  local command = pin .. run.command .. " 2>" .. errors
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do
    local name, value = line:match("^(%S+)%s+(%S+)$")
    if tonumber(value) then
      keep(run.who, (run.prefix or "") .. name, tonumber(value))
    end
  end
  local good, how, status = pipe:close()
  if not good then
    local file <close> = assert(io.open(errors))
    failures[run.who .. ", " .. (run.prefix or "") .. run.group] =
      file:read("l") or (how .. " " .. status)
  end
  os.remove(errors)
end

local function progress(...)
  if os.getenv("PROGRESS") then io.stderr:write(string.format(...)) end
end

-- Every contestant is first as often as any other: the order turns.
local function round(number)
  local todo = {}
  for _, run in ipairs(runs) do
    if number <= (run.rounds or ROUNDS) and wanted(run.group) then
      todo[#todo + 1] = run
    end
  end
  table.sort(todo, function (a, b)
    local x = a.group .. " " .. (a.prefix or "") .. (a.turn or "")
    local y = b.group .. " " .. (b.prefix or "") .. (b.turn or "")
    if x ~= y then return x < y end
    if a.who ~= b.who then return (a.who < b.who) == (number % 2 == 1) end
    return a.command < b.command
  end)
  for i, run in ipairs(todo) do
    progress("\rround %d of %d: %3d of %d  ", number, ROUNDS, i, #todo)
    perform(run)
  end
end

-- == The table ===========================================================

-- The value below which a part of the samples lies; 0.5 is the median.
local function quantile(who, name, part)
  local list = samples[who] and samples[who][name]
  if not list then return nil end
  table.sort(list)
  local place = 1 + (#list - 1) * (part or 0.5)
  local low, high = list[math.floor(place)], list[math.ceil(place)]
  return low + (high - low) * (place % 1)
end

local function number(x)
  if not x then return "-" end
  if math.abs(x) >= 1000 then
    local digits = ("%.0f"):format(x):reverse():gsub("(%d%d%d)", "%1,")
    return (digits:reverse():gsub("^(%-?),", "%1"))
  end
  return (("%.3g"):format(x))
end

-- -> goal as text, and whether it is reached
local function judge(row, neap, limit)
  local ratio = neap and limit and neap / limit
  if row.times then
    return ("<= %gx"):format(row.times), ratio and ratio <= row.times
  elseif row.least then
    return (">= %gx"):format(row.least), ratio and ratio >= row.least
  elseif row.floor then
    return ">= " .. number(row.floor), neap and neap >= row.floor
  elseif row.most then
    return "<= " .. number(row.most), neap and neap <= row.most
  end
  return "", nil
end

local function peers(name, part)
  local cells = {}
  for _, who in ipairs {"asyncio", "asyncio streams", "asyncio protocol",
                        "uvloop", "uvloop streams", "uvloop protocol", "node",
                        "node callback", "node await", "C+Lua"} do
    local value = quantile(who, name, part)
    if value then cells[#cells + 1] = who .. " " .. number(value) end
  end
  return table.concat(cells, ", ")
end

local function print_row(row)
  local _, name, title, unit = table.unpack(row)
  local limit = quantile("limit", row.limit or name, row.best)
  local neap = quantile("neap", name, row.best)
  local goal, reached = judge(row, neap, limit)
  local ratio = neap and limit and ("%.2f"):format(neap / limit) or "-"
  local verdict = reached and "ok" or neap and goal ~= "" and "over" or "-"
  print(("%-28s %4s %9s %9s %7s %8s  %-7s  %s"):format(
    title, unit, number(limit), number(neap), ratio, goal, verdict,
    peers(name, row.best)))
end

local function print_table()
  print(("%-28s %4s %9s %9s %7s %8s  %-7s  %s"):format(
    "workload", "unit", "limit", "neap", "ratio", "goal", "verdict", "peers"))
  for _, row in ipairs(rows) do
    if wanted(row[1]) then print_row(row) end
  end
  for where, message in pairs(failures) do
    print(("failed: %s: %s"):format(where, message))
  end
end

-- == The whole ===========================================================

add_limits()
add_echo("limit", built "echo" .. "c", 200)
add_echo("C+Lua", built "echo" .. "lua", 200)
add_tls("limit", built "tls_echo", 200)

if os.execute("test -x " .. quote(NEAP)) then
  local server = quote(NEAP) .. " " .. file "neap/echo.lua"
  add_neap()
  add_echo("neap", server, 200)
  add_load("echo", "neap", built "load" .. "buffer16k 16384 50 200 " ..
           server .. "buffer", {})
  add_load("many", "neap", built "load" .. "manybuf16k 16384 1000 200 " ..
           server .. "buffer", {})
  add_tls("neap", server, 200)
end

if PEERS > 0 then
  add_python()
  add_node()
end

print(("%s; %s; Linux %s; load %s"):format(
  output("sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1"),
  output("lua5.4 -v"):match("^%S+ %S+"), output("uname -r"),
  output("cut -d' ' -f1 /proc/loadavg")))

local started = os.time()
if wanted("files") then output(built "files" .. "make " .. FILES) end
-- A virtual machine pays more for memory that it touches for the first time.
if roomy and (wanted("sleep") or wanted("suspend")) then
  output(built "sleepers" .. MILLION)
end
for i = 1, ROUNDS do round(i) end
progress("\r\27[K")
print_table()
os.execute("rm -rf " .. FILES)
print(("medians of %d rounds (echo: better quartile; peers: %d rounds), %d s")
  :format(ROUNDS, PEERS, os.time() - started))
