-- asyncio.lua - the global table asyncio: require "neap.asyncio".
--
-- The machine has put tasks, futures, gather, timeout scopes and errors into
-- the table; when a name is asked for that is not among them, it runs this
-- file and calls _part. What is composed stands in files of their own, which
-- are loaded when one of their names is first used.

local asyncio = asyncio
local typename = asyncio._typename
local isfuture, iscoroutine = asyncio.isfuture, asyncio.iscoroutine
local create_task, misuse = asyncio.create_task, asyncio._misuse
local load = asyncio._load

local parts = {
  run = "run", wait = "wait", as_completed = "wait", wait_for = "wait",
  shield = "wait",
  Queue = "queues", PriorityQueue = "queues", LifoQueue = "queues",
  Lock = "locks", Event = "locks", Condition = "locks",
  Semaphore = "locks", BoundedSemaphore = "locks", Barrier = "locks",
  TaskGroup = "groups", ContextVar = "context",
  get_running_loop = "loop", get_event_loop = "loop",
  dump_tasks = "dump", _dump = "dump",
}

local function load_part(name)
  for key, value in pairs(load("neap.asyncio." .. parts[name])) do
    rawset(asyncio, key, value)
  end
end

-- Gives asyncio[name], which is not in the table yet; nil: loads all.
function asyncio._part(name)
  if name == nil then
    for each in next, parts do
      if rawget(asyncio, each) == nil then load_part(each) end
    end
  elseif parts[name] ~= nil then
    load_part(name)
    return rawget(asyncio, name)
  end
end

-- == What the parts share ===============================================

-- Raises, at the caller's line, unless `options` has only names in `known`,
-- each of the type given there.
function asyncio._check_options(options, known, what)
  if options == nil then return {} end
  if type(options) ~= "table" then
    misuse(("options of %s must be a table, not a %s")
      :format(what, typename(options)))
  end
  for name, value in pairs(options) do
    local expected = known[name]
    if expected == nil then
      misuse(("unknown option '%s' for %s"):format(tostring(name), what))
    elseif type(value) ~= expected then
      misuse(("option '%s' of %s must be a %s, not a %s")
        :format(name, what, expected, typename(value)))
    elseif value ~= value then
      misuse(("option '%s' of %s must be a number, not nan")
        :format(name, what))
    end
  end
  return options
end

-- Raises, at the caller's caller's line, unless `x` can be awaited.
function asyncio._check_awaitable(x, what)
  if isfuture(x) or iscoroutine(x) then return end
  local meta = getmetatable(x)
  if type(meta) == "table" and meta.__await then return end
  misuse(("%s needs an awaitable, not a %s value%s"):format(what, typename(x),
    type(x) == "function" and ": call the function" or ""))
end

function asyncio._ensure_future(x)
  if isfuture(x) then return x end
  return create_task(x)
end

return asyncio
