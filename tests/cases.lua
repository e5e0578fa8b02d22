--[[
cases.lua - the words in which the cases of asyncio are told

  require "tests.cases"

makes these globals, besides those of harness.lua:

  U                  the unit of time, which passes when nothing else can
  case(title, lines, f)  a test: f must log these lines, parted by " / "
  log(...)           logs one line: the values, spelled and parted by blanks
  sleep(units)       asyncio.sleep in units
  turn()             gives up one turn (async)
  spawn(f | x, opts) asyncio.create_task, of f() if it is a function
  later(units, f)    calls f outside any task
  worker(name, units, opts)  async: logs name+ at its start, name- at its end,
                     name~ when it sees a cancellation, name. at the end of
                     its clean-up; gives its name. opts: value= another
                     value, fail= a Boom at its end, clean= units of clean-up,
                     raise= a Boom when cancelled, keep= a value to end with
                     when cancelled
  tell(label, x)     async: awaits x and logs `label -> v` or `label !! E`
  finally(f)         a to-be-closed value that calls f
  fails(f, ...)      the kind of error that f raises
  kind(e)            how an error is spelled: Boom: x, group[...] (kinds
                     sorted), the name of its class, or misuse
  state(t)           pending, cancelled, done v, failed E
  Boom               a class of errors of the tests' own
]]

U = 0.03
asyncio._own_clock(true) -- a loaded machine must not change the order
Boom = asyncio.Error:extend "Boom"

local lines = {}

local classes = {
  "CancelledError", "TimeoutError", "InvalidStateError", "QueueEmpty",
  "QueueFull", "QueueShutDown", "BrokenBarrierError",
}

-- Mistakes in the tests or in neap that look like errors it means to raise.
local bugs = {
  "attempt to index", "attempt to call", "attempt to perform",
  "attempt to compare", "attempt to concatenate", "assertion failed",
}

function kind(err)
  if asyncio.iserror(err, asyncio.ExceptionGroup) then
    local kinds = {}
    for i, inner in ipairs(err.errors) do kinds[i] = kind(inner) end
    table.sort(kinds)
    return "group[" .. table.concat(kinds, ", ") .. "]"
  end
  if asyncio.iserror(err, Boom) then return "Boom: " .. err.message end
  for _, name in ipairs(classes) do
    if asyncio.iserror(err, asyncio[name]) then return name end
  end
  for _, text in ipairs(bugs) do
    if tostring(err):find(text, 1, true) then return tostring(err) end
  end
  return "misuse"
end

local function spell(value)
  if type(value) == "table" and not asyncio.iserror(value)
      and not getmetatable(value) then
    local items = {}
    for i = 1, value.n or #value do items[i] = spell(value[i]) end
    return "{" .. table.concat(items, ", ") .. "}"
  end
  if asyncio.iserror(value) then return kind(value) end
  return tostring(value)
end

function log(...)
  local words = table.pack(...)
  for i = 1, words.n do words[i] = spell(words[i]) end
  lines[#lines + 1] = table.concat(words, " ")
end

function case(title, wanted, f)
  test(title, async function()
    lines = {}
    local got = lines
    await f()
    local text = table.concat(got, " / ")
    if text ~= wanted then
      error(("\n  expected: %s\n  got:      %s"):format(wanted, text), 0)
    end
  end)
end

function sleep(units, ...)
  return asyncio.sleep(units * U, ...)
end

async function turn()
  await asyncio.sleep(0)
end

function spawn(x, opts)
  if type(x) == "function" then x = x() end
  return asyncio.create_task(x, opts)
end

function later(units, f, ...)
  return asyncio.get_running_loop():call_later(units * U, f, ...)
end

async function worker(name, units, opts)
  opts = opts or {}
  log(name .. "+")
  local ok, err = asyncio.catch(function() await sleep(units) end)
  if not ok then
    log(name .. "~")
    if opts.raise then error(Boom.new(opts.raise)) end
    if opts.clean then
      await sleep(opts.clean)
      log(name .. ".")
    end
    if opts.keep ~= nil then return opts.keep end
    error(err, 0)
  end
  log(name .. "-")
  if opts.fail then error(Boom.new(opts.fail)) end
  if opts.value ~= nil then return opts.value end
  return name
end

async function tell(label, x)
  local got = table.pack(asyncio.catch(function() return await x end))
  if got[1] then
    log(label, "->", table.unpack(got, 2, math.max(got.n, 2)))
  else
    log(label, "!!", kind(got[2]))
  end
end

finally = asyncio.defer

function fails(f, ...)
  local ok, err = asyncio.catch(f, ...)
  return ok and "no error" or kind(err)
end

function state(t)
  if not t:done() then return "pending" end
  if t:cancelled() then return "cancelled" end
  if t:exception() ~= nil then return "failed " .. kind(t:exception()) end
  return "done " .. spell((t:result()))
end
