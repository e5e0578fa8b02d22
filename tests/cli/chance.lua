-- Programs made by chance do in neap what they do in lua5.4.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")

local function version(interpreter)
  local pipe <close> = io.popen(cli.quote(interpreter) .. " -v 2>/dev/null")
  return pipe:read "a":match "^Lua [%d.]+"
end

if version "lua5.4" ~= version(cli.interpreter) then
  print "skipped: there is no lua5.4 of the same release"
  return cli.finish()
end

-- What each program of the file prints.
local function outputs(interpreter, file)
  cli.interpreter = interpreter
  local path = arg[0]:match "^(.*/)[^/]*$" .. "common/" .. file
  local status, out, err = cli.run{path, "1", "300"}
  cli.equal(err, "")
  cli.equal(status, 0)
  local list = {}
  for part in (out .. "program"):gmatch "\t(%d+\n.-)%f[^\n\0]program" do
    list[#list + 1] = part
  end
  cli.equal(#list, 300)
  return list
end

local neap = cli.interpreter
for _, name in ipairs{"coroutines", "frames"} do
  cli.test(name, function()
    local seen = outputs(neap, name .. ".lua")
    local wanted = outputs("lua5.4", name .. ".lua")
    for i = 1, #wanted do cli.equal(seen[i], wanted[i]) end
  end)
end

cli.finish()
