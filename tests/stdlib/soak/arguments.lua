-- Every function of net, fs and process with every wrong value: whatever it
-- raises has the caller's line, and is no raw error of Lua's.

local net = require "neap.net"
local fs = require "neap.fs"
local process = require "neap.process"

local values = {
  {}, 5, -1, 1.5, 0 / 0, math.huge, "", "a\0b", true, function() end,
  io.stdout, {x = 1}, coroutine.create(print), math.maxinteger,
  ("x"):rep(5000),
}

-- What comes before the wrong value, and how many arguments there are.
local NOWHERE <const> = "/nonexistent/x"
local functions = {
  net = {
    connect = {"127.0.0.1", 1, {}}, resolve = {"127.0.0.1", {}}, listen = {{}},
    udp = {{}}, tls_context = {{}},
  },
  fs = {
    open = {NOWHERE, "r", {}}, read_file = {NOWHERE}, copy = {NOWHERE, "x", {}},
    write_file = {NOWHERE, "x", {}}, append_file = {NOWHERE, "x", {}},
    stat = {NOWHERE}, lstat = {NOWHERE}, exists = {NOWHERE},
    mkdir = {NOWHERE, {}}, remove = {NOWHERE, {}}, rename = {NOWHERE, "x"},
    link = {NOWHERE, "x"}, symlink = {NOWHERE, NOWHERE}, readlink = {NOWHERE},
    realpath = {NOWHERE}, scandir = {NOWHERE}, walk = {NOWHERE, {}},
    glob = {NOWHERE, {}}, temp_file = {{}}, temp_dir = {{}},
    chmod = {NOWHERE, 0}, utime = {NOWHERE, 1, 1}, watch = {NOWHERE, {}},
  },
  process = {
    run = {{"true"}, {}}, spawn = {{"true"}, {}}, signals = {"SIGUSR1"},
    kill = {4194304, "SIGTERM"},
  },
  Stream = {
    read = {1}, read_exactly = {1}, read_line = {1}, read_until = {"x", 1},
    lines = {1}, write = {"x", "x"}, sendfile = {NOWHERE, 0, 0},
    start_tls = {{}}, set_nodelay = {true}, set_keepalive = {true, 1},
  },
  Server = {serve = {print}, close = {1}},
  Udp = {
    send = {"x", "127.0.0.1", 1}, join = {"224.0.0.1", "lo"},
    leave = {"224.0.0.1", "lo"}, set_broadcast = {true},
    set_multicast_loop = {true}, set_multicast_interface = {"lo"},
    set_ttl = {1}, set_multicast_ttl = {1},
  },
  File = {
    read = {1}, read_line = {1}, lines = {1}, write = {"x", "x"},
    seek = {"set", 0}, truncate = {0},
  },
  Process = {kill = {"SIGUSR2"}, resize = {5, 5}, stop = {1}},
}

local options = {
  "backlog", "broadcast", "ca", "capture", "cert", "check", "cwd", "depth",
  "detached", "dir", "env", "family", "follow", "gid", "grace", "groups",
  "host", "input", "keep", "key", "max_connections", "mode", "new_group",
  "nodelay", "nosuch", "on_error", "path", "port", "prefix", "pty",
  "remote_host", "remote_port", "reuse_port", "rows", "servers", "sni",
  "stderr", "stdin", "stdout", "suffix", "timeout", "tls", "type", "uid",
  "verify", 5,
}

local here <const> = debug.getinfo(1, "S").short_src

-- Complains about what f raises, if that is wrong.
local function complaint(f, ...)
  local arguments = table.pack(...)
  local ok, e = pcall(function()
    local _ <close> = asyncio.timeout(0.001)
    local result = f(table.unpack(arguments, 1, arguments.n))
    if asyncio.iscoroutine(result) then result = await result end
    if type(result) == "userdata" and result.close then result:close() end
  end)
  if ok or asyncio.iserror(e, asyncio.TimeoutError) then return end
  local text = tostring(e)
  if text:sub(1, #here + 1) ~= here .. ":" then return "line: " .. text end
  if type(e) == "string" and (text:find "attempt to"
      or text:find "bad argument") then
    return "raw: " .. text
  end
end

local function check(name, f, before, ...)
  local found = {}
  local function try(what, ...)
    local text = complaint(f, ...)
    if text then found[#found + 1] = ("%s: %s"):format(what, text) end
  end
  for at, right in ipairs(before) do
    for _, value in ipairs(values) do
      local list = table.pack(...)
      local n = list.n
      table.move(before, 1, at - 1, n + 1, list)
      list[n + at] = value
      try(("%s #%d"):format(name, at), table.unpack(list, 1, n + at))
    end
    if type(right) == "table" and #right == 0 then
      for _, option in ipairs(options) do
        for _, value in ipairs(values) do
          local list = table.pack(...)
          local n = list.n
          table.move(before, 1, at - 1, n + 1, list)
          list[n + at] = {[option] = value}
          try(("%s{%s=}"):format(name, option), table.unpack(list, 1, n + at))
        end
      end
    end
  end
  if #found == 0 then return end
  error(table.concat(found, "\n", 1, math.min(#found, 10)))
end

for name, module in pairs {net = net, fs = fs, process = process} do
  for field, before in pairs(functions[name]) do
    test(name .. "." .. field .. " and wrong values", async function()
      check(name .. "." .. field, module[field], before)
    end)
  end
end

local makers = {
  Stream = function() return net.pair() end,
  Server = function() return net.listen{} end,
  Udp = function() return net.udp{host = "127.0.0.1"} end,
  File = function() return await fs.temp_file() end,
  Process = function() return process.spawn {"sleep", "600"} end,
}

for name, make in pairs(makers) do
  test(name .. " and wrong values", async function()
    for field, before in pairs(functions[name]) do
      local object <close>, other = make()
      local _ <close> = other
      check(name .. ":" .. field, object[field], before, object)
    end
  end)
end
