--[[
compat.lua - what the tests of compatibility share: local compat = dofile(...)

They run everything in the main chunk, where a plain Lua program would, and
each holds in lua5.4 too. A difference is told and counted, and does not end
the file.

  is(GOT, WANTED)           tells unless they are the same value
  like(TEXT, PATTERN)       tells unless the text matches
  fails(PART, F, ...)       tells unless F raises a text with PART
  finish()                  the last line of a test
]]

local compat = {}
local passed, failed = 0, 0

local function show(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function tell(ok, level, ...)
  if ok then
    passed = passed + 1
  else
    failed = failed + 1
    local at = debug.getinfo(level + 1, "Sl")
    io.write(("DIFFERS %s:%d: "):format(at.short_src, at.currentline), ...)
    io.write "\n"
  end
end

function compat.is(got, wanted)
  local same = rawequal(got, wanted) and math.type(got) == math.type(wanted)
  tell(same, 2, "expected ", show(wanted), ", got ", show(got))
end

function compat.like(text, pattern)
  tell(type(text) == "string" and text:find(pattern), 2, "expected ",
    show(pattern), ", got ", show(text))
end

function compat.fails(part, f, ...)
  local ok, message = pcall(f, ...)
  local right = not ok and type(message) == "string"
    and message:find(part, 1, true)
  tell(right, 2, "expected ", show(part), ", got ", show(ok), " ",
    show(message))
end

function compat.finish()
  io.write(("%d passed, %d failed\n"):format(passed, failed))
  if failed > 0 then os.exit(1) end
end

return compat
