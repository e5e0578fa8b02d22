--[[
The build runner of the examples: Ctrl-C ends its children, a failure ends the
others, what they print is not mixed, and no more run than were allowed.
]]

local fs = require "neap.fs"
local process = require "neap.process"

local NEAP = "/proc/" .. process.pid .. "/exe"
local dir <close> = await fs.temp_dir()

local function build(rules, jobs)
  await fs.write_file(dir:path "rules.lua", rules)
  return process.spawn({NEAP, "scripts/examples/build.lua",
    dir:path "rules.lua", jobs}, {stdout = "pipe", stderr = "pipe"})
end

-- Waits for a file that a child writes when it has begun.
local function begun(watcher, name)
  while not (await fs.exists(dir:path(name))) do await watcher:next() end
  return await fs.read_file(dir:path(name))
end

local function is_there(pid)
  return (await process.run {"sh", "-c", "kill -0 " .. pid}).status == 0
end

do
  local watcher <close> = await fs.watch(dir:path())
  local child <close> = build(([[return {
    all = {needs = {"a", "b"}},
    a = {run = "echo $$ >%s/a.tmp && mv %s/a.tmp %s/a; exec sleep 600"},
    b = {run = "echo $$ >%s/b.tmp && mv %s/b.tmp %s/b; exec sleep 600"},
  }]]):gsub("%%s", dir:path()), "2")
  local a = begun(watcher, "a"):match "%d+"
  local b = begun(watcher, "b"):match "%d+"
  print(is_there(a), is_there(b))  --> true	true
  child:kill "SIGINT"
  await child:wait()
  print(is_there(a), is_there(b))  --> false	false
end

do
  local child <close> = build([[return {
    all = {needs = {"bad", "long"}},
    bad = {run = "echo is bad; exit 3"}, long = {run = "exec sleep 600"},
  }]], "2")
  print(await child.stdout:read_all())  --> is bad
  -->
  print(await child.stderr:read_all())  --> build: bad: status 3
  -->
  print(await child:wait())  --> 1	nil
end

for _, rules in ipairs {
  "{all = {needs = {'a', 'b'}}, a = {needs = {'b'}}, b = {needs = {'a'}}}",
  "{all = {needs = {'a'}}, a = {needs = {'b', 'none'}}, b = {run = 'pwd'}}",
} do
  local child <close> = build("return " .. rules, "0")
  print(await child.stdout:read_all() .. await child.stderr:read_line())
end
--> build: a needs itself
--> build: no rule for none

do
  local rules = {"return {all = {needs = {"}
  for i = 1, 20 do rules[#rules + 1] = ("'t%d',"):format(i) end
  rules[#rules + 1] = "}},"
  for i = 1, 20 do
    rules[#rules + 1] = ("t%d = {run = [[for n in 1 2 3 4 5; do " ..
      "echo %d; done; ls %s/*.on 2>/dev/null | wc -l >>%s/most; " ..
      "touch %s/%d.on; sleep 0; rm %s/%d.on]]},"):format(i, i, dir:path(),
      dir:path(), dir:path(), i, dir:path(), i)
  end
  rules[#rules + 1] = "}"
  local child <close> = build(table.concat(rules), "3")
  local whole, last = true, nil
  local count = 0
  for line in child.stdout:lines() do
    if count % 5 > 0 and line ~= last then whole = false end
    last, count = line, count + 1
  end
  print(whole, count)  --> true	100
  local most = 0
  for n in (await fs.read_file(dir:path "most")):gmatch "%d+" do
    most = math.max(most, tonumber(n))
  end
  print(most < 3)  --> true
end
