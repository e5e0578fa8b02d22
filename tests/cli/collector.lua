-- How often a program is collected.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, equal = cli.test, cli.equal

if not cli.is_neap then
  print "skipped: not neap"
  return cli.finish()
end

-- A script that makes ten megabytes of garbage, a turn for each message, and
-- prints how often that was collected.
local script = [[
  local times = 0
  local function arm(probe)
    return setmetatable(probe, {__gc = function(probe)
      times = times + 1
      arm(probe)
    end})
  end
  arm {}
  collectgarbage()
  times = 0
  for i = 1, 640 do
    local s = ("x"):rep(16384) .. i
    await asyncio.sleep(i % 16 == 0 and 0.0001 or 0)
  end
  print(times)]]

local function times(first)
  local status, out = cli.run{cli.script(first .. script)}
  equal(status, 0)
  return tonumber(out)
end

test("a small heap may double several times before it is collected",
     function()
  equal(times "" < 100, true)
end)

test("it may not if the script says when to collect", function()
  equal(times "collectgarbage('setpause', 199)" > 100, true)
end)

cli.finish()
