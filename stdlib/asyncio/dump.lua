-- dump.lua - asyncio.dump_tasks(): the tree of tasks as text.

local asyncio = asyncio

local function seconds(s)
  return s < 10 and ("%.2f s"):format(s) or ("%.0f s"):format(s)
end

-- Adds the lines of one task and, indented, of those that it has spawned.
local function add(lines, info, children, indent)
  local waits = info.waits
  if info.call and waits == "a future" then waits = info.call
  elseif info.call and not waits:find(info.call, 1, true) then
    waits = info.call .. ": " .. waits
  end
  lines[#lines + 1] = ("%s%s (%s): %s"):format(indent, info.name,
                                               seconds(info.age), waits)
  for line in (info.stack or ""):gmatch "[^\n]+" do
    if line ~= "stack traceback:" then
      lines[#lines + 1] = indent .. "    " .. line:gsub("^\t", "")
    end
  end
  if info.spawned then
    lines[#lines + 1] = indent .. "    spawned at " .. info.spawned
  end
  for _, child in ipairs(children[info.id] or {}) do
    add(lines, child, children, indent .. "  ")
  end
end

local function dump()
  local all, alive, children, lines = asyncio._tasks(), {}, {}, {}
  for _, info in ipairs(all) do alive[info.id] = true end
  for _, info in ipairs(all) do
    if alive[info.parent] then
      children[info.parent] = children[info.parent] or {}
      table.insert(children[info.parent], info)
    end
  end
  lines[1] = #all == 1 and "1 task" or #all .. " tasks"
  for _, info in ipairs(all) do
    if not alive[info.parent] then add(lines, info, children, "  ") end
  end
  return table.concat(lines, "\n")
end

return {
  _dump = dump,

  --- asyncio.dump_tasks([file])
  --
  -- Writes the tree of tasks to the file, or to stderr: each task's name, its
  -- age, what it waits for, its stack and where it was spawned, and below it
  -- the tasks that it has spawned. The signal SIGUSR1 does the same from
  -- outside, and so does `neap ps PID`. Works outside debug mode too.
  dump_tasks = function(file)
    local text = dump()
    file = file or io.stderr
    file:write(text, "\n")
  end,
}
