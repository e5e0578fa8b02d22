--[[
cli.lua - what the tests of the command share: local cli = dofile(...)

A test runs the interpreter that runs it, so that whatever is true of lua can
be seen with `lua5.4 tests/cli/X.lua` too. It is plain Lua and waits for
nothing but processes.

  cli.run{ARG..., env=, input=, redirect=}  runs the interpreter; gives
                status, stdout, stderr; the status is 128 + n after signal n;
                env is shell text such as "A=1 B=2", input a text for stdin
  cli.script(TEXT)    writes a file in the scratch directory, gives its path
  cli.test(TITLE, F)  runs F; an error fails the test
  cli.equal(GOT, WANTED)           raises unless they are equal
  cli.has(TEXT, PART)              raises unless TEXT contains PART
  cli.finish()                     the last line of a test
]]

local cli = {}

local first = 0
while arg[first - 1] do first = first - 1 end
cli.interpreter = arg[first]
cli.is_neap = cli.interpreter:find "neap[^/]*$" ~= nil
-- The last line of a traceback: neap does not show its own frames.
cli.bottom = cli.is_neap and "" or "\t[C]: in ?\n"
cli.name = cli.is_neap and "neap" or cli.interpreter

-- The line of the script that neap shows under an error.
function cli.shown(text)
  return cli.is_neap and "\n    " .. text or ""
end

function cli.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

function cli.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

function cli.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local pipe = assert(io.popen "mktemp -d")
cli.scratch = pipe:read "l"
pipe:close()

function cli.path(name) return cli.scratch .. "/" .. name end

local scripts = 0
function cli.script(text)
  scripts = scripts + 1
  local path = cli.path(("script%d.lua"):format(scripts))
  cli.write(path, text)
  return path
end

local clean = "unset LUA_INIT LUA_INIT_5_4 LUA_PATH LUA_PATH_5_4"
  .. " LUA_CPATH LUA_CPATH_5_4 NEAP_DEBUG; ulimit -t 20; "

function cli.command(what)
  local words = {cli.quote(cli.interpreter)}
  for _, word in ipairs(what) do words[#words + 1] = cli.quote(word) end
  local command = table.concat(words, " ")
  if what.env then command = what.env .. " " .. command end
  return clean .. command
end

function cli.run(what)
  local out, err = cli.path "stdout", cli.path "stderr"
  local input = "/dev/null"
  if what.input then
    input = cli.path "stdin"
    cli.write(input, what.input)
  end
  local _, how, status = os.execute(("%s <%s >%s 2>%s %s"):format(
    cli.command(what), input, out, err, what.redirect or ""))
  if how == "signal" then status = 128 + status end
  return status, cli.read(out), cli.read(err)
end

function cli.equal(got, wanted)
  if got ~= wanted then
    error(("expected %q\n  got      %q"):format(wanted, got), 2)
  end
end

function cli.has(text, part)
  if not text:find(part, 1, true) then
    error(("expected a text with %q\n  got %q"):format(part, text), 2)
  end
end

local passed, failed = 0, 0

function cli.test(title, f)
  local ok, message = xpcall(f, debug.traceback)
  if ok then
    passed = passed + 1
  else
    failed = failed + 1
    io.write("FAIL ", title, "\n  ", message, "\n")
  end
end

function cli.finish()
  os.execute("rm -rf " .. cli.quote(cli.scratch))
  io.write(("%d passed, %d failed\n"):format(passed, failed))
  if failed > 0 then os.exit(1) end
end

return cli
