-- Programs of calls and errors, made by chance: frames.lua FIRST LAST runs
-- those with the numbers FIRST to LAST, and prints what each of them saw of
-- its errors, its stack and the names in it.

local first, last = tonumber(arg[1]), tonumber(arg[2])
local state, left

-- 1 to n
local function chance(n)
  state = (state * 1103515245 + 12345) & 0x7fffffff
  return (state >> 8) % n + 1
end

local function see(...)
  local values = table.pack(...)
  for i = 1, values.n do
    local v = values[i]
    local plain = type(v) == "string" or type(v) == "number"
      or type(v) == "boolean"
    values[i] = plain and tostring(v) or type(v)
  end
  print((table.concat(values, ","):gsub("0x%x+", "address")))
end

local act, object

local function see_levels()
  local level = 1
  while debug.getinfo(level) do
    local i = debug.getinfo(level, "Snlut")
    see(level, i.what, i.name, i.namewhat, i.currentline, i.istailcall,
      i.nparams, i.linedefined, i.short_src)
    level = level + 1
  end
end

local function at_close(depth)
  return setmetatable({}, {__close = function(_, e)
    see("close", e)
    if chance(3) == 1 then act(depth) end
  end})
end

local actions = {
  function(depth) return act(depth) end,
  function(depth) return (act(depth)) end,
  see_levels,
  function() see(debug.traceback("traceback", chance(5) - 1)) end,

  function(depth) see(pcall(act, depth)) end,
  function(depth)
    see(pcall(function(...)
      act(depth)
      return ...
    end, 1, nil))
  end,
  function(depth)
    see(xpcall(act, function(e)
      see("handler", e)
      return e
    end, depth))
  end,
  function(depth) see(xpcall(act, debug.traceback, depth)) end,
  function(depth)
    local _ <close> = at_close(depth)
    act(depth)
  end,

  function(depth) error("at a level", chance(4) - 1) end,
  function() assert(false, "asserted") end,
  function() local none none.x = 1 end,
  function() ("text"):none() end,
  function() string.rep() end,
  function() math.floor {} end,
  function() none() end,
  function() local t = {} t.a.b = 1 end,
  function() require("chance" .. chance(5)) end,

  function(depth) return object + depth end,
  function() return object.field end,
  function(depth) return object(depth) end,
  function(depth) object.field = depth end,
  function(depth) return object .. depth end,
  function() return #object end,
  function() return object < object end,
  function() return object == setmetatable({}, getmetatable(object)) end,
  function() return tostring(object) end,

  function(depth) for _ in function() act(depth) end do end end,
  function(depth) string.gsub("a", "a", function() act(depth) end) end,
  function(depth)
    table.sort({2, 1}, function()
      act(depth)
      return false
    end)
  end,
  function(depth) load("local f, a = ... f(a)", "=chunk")(act, depth) end,
  function(depth) return load("return (...)(2)", "@file.lua")(act) end,
  function(depth)
    load(string.dump(load "local f, a = ... f(a)", true))(act, depth)
  end,
  function(depth) load(function() act(depth) end) end,
  function(depth)
    local name = "preloaded" .. chance(3)
    package.preload[name] = function(...)
      see(...)
      act(depth)
    end
    package.loaded[name] = nil
    see(pcall(require, name))
  end,
  function(depth)
    see(select("#", table.unpack({}, 1, chance(200))))
    act(depth)
  end,
}

function act(depth)
  left = left - 1
  if left < 0 or depth > 14 then return depth end
  return actions[chance(#actions)](depth + 1)
end

local events = {__tostring = function()
  act(8)
  return "object"
end}
for _, name in ipairs{"add", "index", "call", "newindex", "concat", "len",
  "lt", "eq"} do
  events["__" .. name] = function()
    see(name)
    return act(8)
  end
end
object = setmetatable({}, events)

for program = first, last do
  print("program", program)
  state, left = program * 7919 + 13, 60
  for _ = 1, 5 do see("top", pcall(act, 0)) end
end
