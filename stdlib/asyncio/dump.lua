--[[
dump.lua - asyncio.dump_tasks(): the tree of tasks as text.

What a task waits for the machine says (asyncio._tasks); an object whose
method is awaited may add something by a method of its own,

  object:_describe(method, name_of) -> text, id of the task it depends on

where name_of(id) is the name of a task that has not ended, or nil.
]]

local asyncio = asyncio

local ALIKE <const> = 4 -- so many that are alike are told as one
local DEEPEST <const> = 20 -- levels that are indented

local function seconds(s)
  return s < 10 and ("%.2f s"):format(s) or ("%.0f s"):format(s)
end

-- == What a task waits for ==============================================

-- "Queue:get" of an object that has the method from its class.
local function name_of_call(info)
  local object, method = info.object, info.call:match ":([%w_]+)$"
  local meta = method and getmetatable(object)
  local class = type(meta) == "table" and rawget(meta, "__name")
  return class and class:match "%w+$" .. ":" .. method or info.call
end

local function describe(info, name_of)
  local object, method = info.object, info.call:match ":([%w_]+)$"
  if type(object) ~= "table" or not method then return nil end
  local ok, text, id = pcall(function()
    return object:_describe(method, name_of)
  end)
  if not ok or type(text) ~= "string" then return nil end
  if id then info.awaits = {id} end
  return text
end

-- "tasks 'a', 'b', 2 more", "a future": those that a future of asyncio.wait,
-- shield or as_completed stands for and that have not ended.
local function aim_text(future)
  local aims = rawget(asyncio, "_aims")
  local aim = aims and aims[future]
  local names, tasks, futures = {}, 0, 0
  for _, f in ipairs(asyncio.isfuture(aim) and {aim} or aim or {}) do
    local is_task = f.get_name ~= nil
    if not f:done() and is_task then
      tasks = tasks + 1
      if tasks <= 3 then names[tasks] = ("'%s'"):format(f:get_name()) end
    elseif not f:done() then
      futures = futures + 1
    end
  end
  if tasks > 3 then names[4] = ("%d more"):format(tasks - 3) end
  if tasks > 0 then
    names[1] = (tasks > 1 and "tasks " or "task ") .. names[1]
  end
  if futures > 0 then
    names[#names + 1] = futures == 1 and "a future" or futures .. " futures"
  end
  return #names > 0 and table.concat(names, ", ") or nil
end

local function add_wait(info, name_of)
  local waits = info.waits
  local aim = waits == "a future" and info.future and aim_text(info.future)
  waits = aim or waits
  if info.call then
    local call, more = name_of_call(info), describe(info, name_of)
    if more then waits = ("%s (%s)"):format(call, more)
    elseif waits == "a future" and not aim then waits = call
    elseif not waits:find(call, 1, true) then waits = call .. ": " .. waits end
  end
  info.waits = waits .. (info.cancelling and ", cancelled" or "")
end

-- == Deadlocks ==========================================================

-- The tasks that wait for each other in a ring, each ring once. Goes from
-- task to task by what they await, without recursion: chains can be long.
local function rings(all, by_id)
  local found, path, edge = {}, {}, {} -- edge: the last that was followed
  local function push(info)
    path[#path + 1] = info
    info.at, edge[info] = #path, 0
  end
  for _, start in ipairs(all) do
    if not edge[start] then push(start) end
    while #path > 0 do
      local info = path[#path]
      edge[info] = edge[info] + 1
      local id = info.awaits and info.awaits[edge[info]]
      local awaited = by_id[id]
      if not id then
        info.at, path[#path] = nil, nil
      elseif awaited and awaited.at then
        found[#found + 1] = table.move(path, awaited.at, #path, 1, {})
      elseif awaited and not edge[awaited] then
        push(awaited)
      end
    end
  end
  return found
end

-- "deadlock: 'a' waits for 'b', which waits for 'a'"
local function ring_text(ring)
  local parts = {}
  for i, info in ipairs(ring) do
    info.stuck = true
    parts[i] = ("'%s'"):format(info.name)
  end
  parts[#parts + 1] = parts[1]
  return "  deadlock: " .. parts[1] .. " waits for " ..
    table.concat(parts, ", which waits for ", 2)
end

-- == The tree ===========================================================

local function stack_lines(info, by_id)
  local lines, here = {}, false
  for line in (info.stack or ""):gmatch "\n\t([^\n]+)" do
    -- What has led here is not worth telling.
    if line:find "^stdlib/asyncio/dump%.lua:" then lines, here = {}, true
    elseif not here or line ~= "[C]: in ?" then lines[#lines + 1] = line end
  end
  if info.spawned then lines[#lines + 1] = "spawned at " .. info.spawned end
  local names = {}
  for i, id in ipairs(info.awaiters or {}) do
    if i > 3 then
      names[i] = ("%d more"):format(#info.awaiters - 3)
      break
    end
    names[i] = ("'%s'"):format(by_id[id].name)
  end
  if #names > 0 then
    lines[#lines + 1] = "awaited by " .. table.concat(names, ", ")
  end
  return lines
end

-- Those with the same key are told as one.
local function key_of(info)
  local waits = info.waits:gsub("%d[%d.]*", "#"):gsub("'[^']*'", "'#'")
  return table.concat({waits, info.stack or "", info.spawned or "",
                       table.concat(info.awaiters or {}, " ", 1,
                         math.min(3, #(info.awaiters or {})))}, "\0")
end

-- The list as groups: those without children that are alike are in one.
local function grouped(list)
  local groups, by_key = {}, {}
  for _, info in ipairs(list) do
    local key = not info.children and not info.stuck and key_of(info)
    local group = key and by_key[key]
    if group then
      group[#group + 1] = info
    else
      group = {info}
      groups[#groups + 1] = group
      if key then by_key[key] = group end
    end
  end
  return groups
end

local add_all

local function add(lines, indent, title, info, by_id, depth)
  lines[#lines + 1] = indent .. title
  for _, line in ipairs(stack_lines(info, by_id)) do
    lines[#lines + 1] = indent .. "    " .. line
  end
  add_all(lines, info.children or {}, by_id, depth + 1)
end

function add_all(lines, list, by_id, depth)
  local indent = ("  "):rep(math.min(depth, DEEPEST))
  for _, group in ipairs(grouped(list)) do
    local n, first = #group, group[1]
    if n >= ALIKE then
      add(lines, indent, ("%d tasks, '%s' to '%s' (%s): %s"):format(n,
        first.name, group[n].name, seconds(first.age), first.waits), first,
        by_id, depth)
    else
      for _, info in ipairs(group) do
        add(lines, indent, ("%s (%s): %s"):format(info.name,
          seconds(info.age), info.waits), info, by_id, depth)
      end
    end
  end
end

local function link(all, by_id)
  local top = {}
  for _, info in ipairs(all) do
    local parent = by_id[info.parent]
    if parent then
      parent.children = parent.children or {}
      table.insert(parent.children, info)
    else
      top[#top + 1] = info
    end
    for _, id in ipairs(info.awaits or {}) do
      local awaited = by_id[id]
      if awaited then
        awaited.awaiters = awaited.awaiters or {}
        table.insert(awaited.awaiters, info.id)
      end
    end
  end
  return top
end

local function dump()
  local all, by_id = asyncio._tasks(), {}
  for _, info in ipairs(all) do by_id[info.id] = info end
  local function name_of(id) return by_id[id] and by_id[id].name end
  for _, info in ipairs(all) do add_wait(info, name_of) end
  local lines = {#all == 1 and "1 task" or #all .. " tasks"}
  for _, ring in ipairs(rings(all, by_id)) do
    lines[#lines + 1] = ring_text(ring)
  end
  add_all(lines, link(all, by_id), by_id, 1)
  return table.concat(lines, "\n")
end

return {
  _dump = dump,

  --- asyncio.dump_tasks([file])
  --
  -- Writes the tree of tasks to the file, or to stderr: each task's name, its
  -- age, what it waits for, its stack and where it was spawned, who awaits it,
  -- and below it the tasks that it has spawned. Tasks that wait for each other
  -- are named as a deadlock. Many that are alike are told as one. The signal
  -- SIGUSR1 does the same from outside, and so does `neap ps PID`. Works
  -- outside debug mode too.
  dump_tasks = function(file)
    local text = dump()
    file = file or io.stderr
    file:write(text, "\n")
  end,
}
