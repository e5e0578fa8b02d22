-- Programs of coroutines, made by chance: coroutines.lua FIRST LAST runs those
-- with the numbers FIRST to LAST, and prints what each of them saw. It is plain
-- Lua that says nothing of itself, for any interpreter to run.

local first, last = tonumber(arg[1]), tonumber(arg[2])
local state, left, threads

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
  print(table.concat(values, ","))
end

local act

local mistakes = {
  function() error("e" .. chance(9)) end,
  function() error {} end,
  function() error(nil) end,
  function() error("without position", 0) end,
  function() local x return x.f end,
  function() string.rep() end,
}
local function fail() mistakes[chance(#mistakes)]() end

local function body(depth)
  return function(...)
    see("in", select("#", ...), coroutine.isyieldable())
    local result
    for _ = 1, chance(4) do result = act(depth) end
    return result, ...
  end
end

local function closer(depth)
  local kind = chance(5)
  return setmetatable({}, {__close = function(_, e)
    see("close", e)
    if kind == 1 then
      fail()
    elseif kind == 2 and coroutine.isyieldable() then
      see("in close", coroutine.yield "close")
    elseif kind == 3 then
      act(depth)
    end
  end})
end

local function any_thread() return threads[chance(#threads)] end

local actions = {
  function(depth)
    if #threads > 12 then return end
    threads[#threads + 1] = coroutine.create(body(depth))
    act(depth)
  end,
  function()
    local thread = any_thread()
    see("resume", coroutine.status(thread))
    see(coroutine.resume(thread, chance(5)))
    see(coroutine.status(thread))
  end,
  function()
    local thread = any_thread()
    see("to close", coroutine.status(thread))
    see(pcall(coroutine.close, thread))
    see(coroutine.status(thread))
  end,
  function(depth)
    if coroutine.isyieldable() then see("back", coroutine.yield(depth))
    else see(pcall(coroutine.yield, 1)) end
  end,
  function(depth) see("pcall", pcall(body(depth), 1, nil)) end,
  function(depth)
    see("xpcall", xpcall(body(depth), function(e)
      see("handler", e)
      if chance(4) == 1 then fail() end
      return "handled"
    end, 2))
  end,
  fail,
  function(depth)
    local wrapped = coroutine.wrap(body(depth))
    for i = 1, chance(3) do see("wrap", pcall(wrapped, i)) end
  end,
  function(depth)
    local wrapped = coroutine.wrap(body(depth))
    for i = 1, chance(3) do see("bare wrap", wrapped(i)) end
  end,
  function(depth)
    local _ <close> = closer(depth)
    return act(depth)
  end,
  function(depth)
    local _ <close> = closer(depth)
    local _ <close> = closer(depth)
    act(depth)
    act(depth)
  end,
  function(depth)
    local function generate()
      for i = 1, chance(4) do
        coroutine.yield(i, depth)
        act(depth)
      end
    end
    for a, b in coroutine.wrap(generate) do
      see("item", a, b)
      act(depth)
    end
  end,
  function(depth)
    local function count(_, n)
      act(depth)
      n = (n or 0) + 1
      return n < 3 and n or nil
    end
    for n in count, nil, nil, closer(depth) do
      see("for", n)
      if chance(3) == 1 then break end
    end
  end,
  function(depth)
    see("sort", pcall(table.sort, {3, 1, 2}, function(a, b)
      act(depth)
      return a < b
    end))
  end,
  function(depth)
    local object = setmetatable({}, {__add = function()
      act(depth)
      return chance(5)
    end})
    see("add", pcall(function() return object + 1 end))
  end,
  function()
    local thread, is_main = coroutine.running()
    see(is_main, coroutine.isyieldable(), coroutine.status(thread))
    see(pcall(coroutine.resume, thread))
    see(pcall(coroutine.close, thread))
  end,
  function()
    local thread = any_thread()
    see(coroutine.isyieldable(thread), debug.traceback(thread, "thread"))
  end,
  function() see(debug.traceback "own") end,
  function(depth)
    see("gsub", pcall(string.gsub, "ab", ".", function()
      return act(depth) and "x"
    end))
  end,
  function(depth) return act(depth) end,
}

function act(depth)
  left = left - 1
  if left < 0 or depth > 12 then return depth end
  actions[chance(#actions)](depth + 1)
  return depth
end

for program = first, last do
  print("program", program)
  state, left, threads = program * 7919 + 13, 120, {}
  for i = 1, 3 do threads[i] = coroutine.create(body(0)) end
  for _ = 1, 4 do see("top", pcall(act, 0)) end
  for _, thread in ipairs(threads) do
    see(coroutine.status(thread), debug.traceback(thread))
    see(pcall(coroutine.close, thread))
  end
end
