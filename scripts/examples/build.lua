--[[
A small `make -j`: commands that depend on each other, some of them at once.
What a command prints is shown in one piece when it has ended. The first
failure ends the others, and so does Ctrl-C.

  neap build.lua rules.lua 4

rules.lua gives a table like RULES below; 4 is how many commands may run at
once (2).
]]

local process = require "neap.process"

local RULES = {
  all = {needs = {"report", "quiet"}},
  report = {needs = {"sorted"}, run = "echo report: $(wc -l <sorted) words"},
  sorted = {needs = {"words"}, run = "sort words >sorted; cat sorted"},
  words = {run = "printf 'pear\\napple\\n' >words; echo made words"},
  quiet = {needs = {"words"}, run = "grep -c e words >quiet"},
}

local Build = {}
Build.__index = Build

local function new_build(rules, jobs, dir)
  return setmetatable({
    rules = rules, jobs = asyncio.Semaphore(jobs), dir = dir, targets = {},
    count = 0,
  }, Build)
end

async function Build:run(name, command)
  local _ <close> = await self.jobs:acquire()
  local result = await process.run({"sh", "-c", command},
    {cwd = self.dir, stderr = "stdout"})
  io.write(result.stdout)
  self.count = self.count + 1
  if result.status ~= 0 then
    error(name .. ": " .. (result.signal or "status " .. result.status), 0)
  end
end

async function Build:make(name)
  local rule = self.rules[name]
  local needed = {}
  for i, need in ipairs(rule.needs or {}) do needed[i] = self:target(need) end
  await asyncio.gather(needed)
  if rule.run then await self:run(name, rule.run) end
end

-- A target has one task, for which all that need it wait.
function Build:target(name)
  self.targets[name] = self.targets[name]
    or self.group:create_task(self:make(name))
  return asyncio.shield(self.targets[name])
end

-- Two targets that need each other would wait for ever.
local function check(rules, name, seen)
  if seen[name] == "done" then return end
  if seen[name] then error(name .. " needs itself", 0) end
  seen[name] = "begun"
  local rule = rules[name] or error("no rule for " .. name, 0)
  for _, need in ipairs(rule.needs or {}) do check(rules, need, seen) end
  seen[name] = "done"
end

async function Build:all()
  check(self.rules, "all", {})
  local group <close> = asyncio.TaskGroup()
  self.group = group
  await self:target "all"
end

if arg and arg[1] then
  local build = new_build(dofile(arg[1]), math.max(tonumber(arg[2]) or 2, 1))
  local ok, err = pcall(function() await build:all() end)
  if not ok then
    local first = err.errors and err.errors[1] or err
    io.stderr:write("build: ", tostring(first), "\n")
    os.exit(1, true)
  end
  return
end

local fs = require "neap.fs"
local dir <close> = await fs.temp_dir()
local build = new_build(RULES, 2, dir:path())
await build:all()
print(build.count .. " commands")
--> made words
--> apple
--> pear
--> report: 2 words
--> 4 commands
