--[[
harness.lua - runs one file of tests: neap tests/harness.lua FILE

The file calls these globals; everything else it makes itself:

  test(title, f)            runs f now, in a task of its own, under a time
                            limit; f is an async or an ordinary function
  skip(title, why)          says openly that a test cannot run here
  equal(got, wanted)        raises unless both are alike, tables in depth
  expect_error(what, f, ...)  calls f, awaiting what it returns if that is a
                            coroutine object; raises unless it raised what
                            (a class of errors, or part of the message);
                            gives the error

A test that leaves a task or an open handle behind has failed, and so has one
in which an error was reported that nobody retrieved. The results go to the
file NEAP_TEST_REPORT, which tests/run.lua reads, or to stdout without it.
TEST_LIMIT is the number of seconds a test may take (10, or 60 while the
collector never rests).
]]

local collector = os.getenv "NEAP_TEST_GC" or ""
local stress = collector == "2"
local limit = tonumber(os.getenv "TEST_LIMIT")
  or collector ~= "" and 60 or 10
local path = os.getenv "NEAP_TEST_REPORT" or ""
local output = path ~= "" and assert(io.open(path, "a")) or io.stdout
local passed, failed = 0, 0

local function say(verb, text)
  output:write(verb, " ", (text:gsub("\n", " ")), "\n")
  output:flush()
end

local function details(text)
  local count = 0
  for line in text:gmatch "[^\n]+" do
    count = count + 1
    if count <= 40 then output:write("|", line, "\n") end
  end
  if count > 40 then output:write("|and ", count - 40, " lines more\n") end
  output:flush()
end

-- == What a test may use ================================================

local function spell(value)
  if type(value) ~= "table" or asyncio.iserror(value) then
    return type(value) == "string" and ("%q"):format(value)
      or tostring(value)
  end
  local parts, shown = {}, {}
  for i, item in ipairs(value) do
    parts[i], shown[i] = spell(item), true
  end
  for key, item in pairs(value) do
    if not shown[key] then
      parts[#parts + 1] = ("%s=%s"):format(key, spell(item))
    end
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function alike(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for key, value in pairs(a) do
    if not alike(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

function equal(got, wanted)
  if not alike(got, wanted) then
    error(("expected %s, got %s"):format(spell(wanted), spell(got)), 2)
  end
end

local function call(f, ...)
  local result = f(...)
  if asyncio.iscoroutine(result) then await result end
end

function expect_error(what, f, ...)
  local ok, err = asyncio.catch(call, f, ...)
  if ok then error("expected an error, got none", 2) end
  local right
  if type(what) == "string" then
    right = tostring(err):find(what, 1, true)
  else
    right = asyncio.iserror(err, what)
  end
  if not right then
    local name = type(what) == "table" and what.name or tostring(what)
    error(("expected %s, got %s"):format(name, tostring(err)), 2)
  end
  return err
end

-- == What a test must not leave behind ==================================

local function open_handles()
  return asyncio._handles and asyncio._handles() or 0
end

local function tasks_beyond(known)
  local found = {}
  for _, task in ipairs(asyncio.all_tasks()) do
    if not known[task] then found[#found + 1] = task end
  end
  return found
end

local function set_of(list)
  local set = {}
  for _, item in ipairs(list) do set[item] = true end
  return set
end

-- Handles are closed in a turn of the loop, some by the collector.
local function settle(handles)
  collectgarbage()
  collectgarbage()
  await asyncio.sleep(0)
  for _ = 1, 100 do
    if open_handles() <= handles then return end
    await asyncio.sleep(0.002)
  end
end

local function leavings(tasks, handles)
  settle(handles)
  local left = tasks_beyond(tasks)
  local lines = {}
  for i, task in ipairs(left) do
    lines[i] = "left a task behind: " .. task:get_name()
    task:cancel()
  end
  if #left > 0 then await asyncio.wait(left, {timeout = 1}) end
  local extra = open_handles() - handles
  if extra > 0 then
    lines[#lines + 1] = ("left %d open handles behind"):format(extra)
  end
  return table.concat(lines, "\n")
end

-- == Running one ========================================================

local async function run(f)
  if stress then debug.sethook(function() collectgarbage() end, "", 1000) end
  call(f)
end

local function finish(task)
  local _ <close> = asyncio.timeout(limit)
  await task
end

local function explain(err, task)
  local text = tostring(err)
  local trace = asyncio.iserror(err) and err.traceback or task:traceback()
  if trace then text = text .. "\n" .. tostring(trace) end
  if asyncio.iserror(err, asyncio.ExceptionGroup) then
    for _, inner in ipairs(err.errors) do
      text = text .. "\n" .. explain(inner, task)
    end
  end
  return text
end

function test(title, f)
  say("begin", title)
  local reports = {}
  local function on_report(_, context)
    reports[#reports + 1] = ("reported: %s: %s"):format(
      tostring(context.message), tostring(context.exception))
  end
  asyncio.get_running_loop():set_exception_handler(on_report)
  local tasks, handles = set_of(asyncio.all_tasks()), open_handles()
  local task = asyncio.create_task(run(f), {name = title})
  local ok, err = asyncio.catch(finish, task)
  local text = ok and "" or explain(err, task)
  task, err = nil, nil
  text = text .. "\n" .. leavings(tasks, handles)
  text = text .. "\n" .. table.concat(reports, "\n")
  if text:find "%S" then
    failed = failed + 1
    say("fail", title)
    details(text)
  else
    passed = passed + 1
    say("ok", title)
  end
end

function skip(title, why) say("skip", title .. ": " .. why) end

local file = assert(arg[1], "usage: neap tests/harness.lua FILE")
local chunk = assert(loadfile(file))
arg = {[0] = file, table.unpack(arg, 2)}
chunk(table.unpack(arg))
say("end", ("%d passed, %d failed"):format(passed, failed))
