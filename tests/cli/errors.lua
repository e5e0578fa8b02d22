-- Uncaught errors, tracebacks, exit statuses, and how a program ends.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, run, equal, has = cli.test, cli.run, cli.equal, cli.has
local script = cli.script

local function fails(text)
  local path = script(text)
  local status, out, err = run{path}
  equal(out, "")
  equal(status, 1)
  return err, path
end

test("an error is told with its traceback", function()
  local err, path = fails "local function f()\n  error 'oops'\nend\nf()"
  equal(err, table.concat({
    ("%s: %s:2: oops"):format(cli.name, path) .. cli.shown "error 'oops'",
    "stack traceback:",
    "\t[C]: in function 'error'",
    ("\t%s:2: in local 'f'"):format(path),
    ("\t%s:4: in main chunk"):format(path),
    cli.bottom}, "\n"))
end)

test("levels and values of errors", function()
  local err, path = fails "error('x', 0)"
  has(err, cli.name .. ": x\n")
  err, path = fails "local function f() error('x', 2) end\nf()"
  has(err, path .. ":2: x\n")
  has(fails "error(10)", cli.name .. ": 10\n")
  has(fails "error(1.5)", cli.name .. ": 1.5\n")
end)

test("a hook that fails is shown as one", function()
  local err, path = fails "debug.sethook(function() error 'x' end, 'l')\nx = 1"
  has(err, path .. ":1: in hook '?'\n")
end)

test("an error object that is no text is told by its type", function()
  has(fails "error {}", cli.name .. ": (error object is a table value)\n")
  has(fails "error()", cli.name .. ": (error object is a nil value)\n")
  has(fails "error(print)", "(error object is a function value)\n")
  has(fails "error(true)", "(error object is a boolean value)\n")
  has(fails "error(io.stdout)", "file (0x")
  has(fails "error(setmetatable({}, {__tostring = function() end}))",
    "(error object is a table value)\n")
end)

test("every one but a text of its own has a traceback", function()
  for _, value in ipairs{"", "nil", "{}", "true", "1", "'x'"} do
    local err, path = fails("local function f() error(" .. value
      .. ") end\nf()")
    has(err, "\nstack traceback:\n\t[C]: in function 'error'\n\t" .. path
      .. ":1: in local 'f'\n\t" .. path .. ":2: in main chunk\n")
  end
end)

-- What stands before an object's own text is the command as it was called.
test("an error object makes its own text, and no traceback", function()
  equal(fails [[
    error(setmetatable({}, {__tostring = function() return "mine" end}))]],
    cli.interpreter .. ": mine\n")
end)

test("the text is made where the error was raised", function()
  local err = fails [[
debug = require "debug"
local mine = {x = 0}
setmetatable(mine, {__tostring = function(x)
  return tostring(debug.getinfo(4).currentline + mine.x)
end})
error(mine)
]]
  equal(err, cli.interpreter .. ": 6\n")
end)

test("the kinds of frames in a traceback", function()
  local err = fails [[
    local t = {}
    function t.field() t:method() end
    function t:method() string.gsub("a", "a", function() glob() end) end
    function glob() local up = function() nothing.x = 1 end up() end
    t.field()]]
  has(err, "attempt to index a nil value (global 'nothing')\n")
  has(err, "in local 'up'\n")
  has(err, "in function 'glob'\n")
  has(err, "[C]: in function 'string.gsub'\n")
  has(err, "in method 'method'\n")
  has(err, "in field 'field'\n")
  has(err, "in main chunk\n" .. cli.bottom)
end)

test("a deep traceback loses its middle", function()
  local err = fails [[
    local function f(n) if n == 0 then error "deep" end f(n - 1) return 1 end
    f(100)]]
  has(err, "\n\t...\t(skipping ")
  has(err, " levels)\n")
end)

test("a stack overflow is an error as any other", function()
  local err = fails "local function f() return 1 + f() end f()"
  has(err, "stack overflow")
  has(err, "\n\t...\t(skipping ")
end)

test("yielding outside a coroutine is an error", function()
  has(fails "coroutine.yield(1)",
    "attempt to yield from outside a coroutine")
end)

test("a wrong binary or text chunk is told by require and dofile", function()
  has(fails "dofile '/no/such/file'", "cannot open /no/such/file")
  has(fails("dofile '" .. script "x x" .. "'"),
    "syntax error near 'x'")
end)

test("a script that ends well has status 0, whatever it returns", function()
  for _, text in ipairs{"", "return 1", "return false", "return nil, 'x'",
    "return error", "pcall(error)", "io.stderr:write ''"} do
    equal(run{script(text)}, 0)
  end
end)

test("os.exit gives the status", function()
  local function status(text) return (run{"-e", text}) end
  equal(status "os.exit()", 0)
  equal(status "os.exit(true)", 0)
  equal(status "os.exit(false)", 1)
  equal(status "os.exit(0)", 0)
  equal(status "os.exit(7)", 7)
  equal(status "os.exit(255)", 255)
  equal(status "os.exit(3, true)", 3)
  equal(status "os.exit(false, true)", 1)
  equal(status "os.exit(true, true)", 0)
  equal(status "pcall(os.exit, 5)", 5)
  equal(status "pcall(os.exit, 5, true)", 5)
  equal(status "coroutine.wrap(function() os.exit(6) end)()", 6)
  equal(status "coroutine.wrap(function() os.exit(6, true) end)()", 6)
  equal(status "string.gsub('a', 'a', function() os.exit(8, true) end)", 8)
end)

test("os.exit ends it there", function()
  for _, code in ipairs{"9", "9, true"} do
    local status, out, err = run{"-e", "print(1) os.exit(" .. code
      .. ") print(2)", "-e", "print(3)", script "print(4)"}
    equal(status, 9)
    equal(out, "1\n")
    equal(err, "")
  end
end)

test("os.exit that closes runs what is to be closed", function()
  local status, out, err = run{script [[
    local function closer(name)
      return setmetatable({}, {__close = function(_, e)
        print(name, e)
      end})
    end
    local a <close> = closer "a"
    local b <close> = closer "b"
    kept = setmetatable({}, {__gc = function() print "gc" end})
    local function f()
      local c <close> = closer "c"
      os.exit(4, true)
    end
    f()]]}
  equal(err, "")
  equal(out, "c\tnil\nb\tnil\na\tnil\ngc\n")
  equal(status, 4)
end)

test("os.exit that closes does so from a coroutine", function()
  local status, out, err = run{script [[
    local function closer(name)
      return setmetatable({}, {__close = function(_, e) print(name, e) end})
    end
    local a <close> = closer "a"
    kept = setmetatable({}, {__gc = function() print "gc" end})
    local function f()
      local inside <close> = closer "inside"
      pcall(coroutine.wrap(os.exit), 4, true)
    end
    print(pcall(coroutine.wrap(f)))]]}
  equal(err, "")
  equal(out, "a\tnil\ngc\n")
  equal(status, 4)
end)

-- The variables are those of the main chunk, wherever it is called.
test("os.exit closes the state from inside of C code", function()
  for _, call in ipairs{
    "string.gsub('a', 'a', function() os.exit(4, true) end)",
    "coroutine.wrap(table.sort)({1, 2}, function() os.exit(4, true) end)",
    "setmetatable({}, {__gc = function() os.exit(4, true) end}) "
      .. "collectgarbage()",
    "debug.sethook(function() os.exit(4, true) end, 'l')\nprint 'not here'",
    "error(setmetatable({}, {__tostring = function() os.exit(4, true) end}))"}
  do
    local status, out, err = run{"-e", [[
      local a <close> = setmetatable({}, {__close = function(_, e)
        print("a", e)
      end})
      kept = setmetatable({}, {__gc = function() print "gc" end})
      ]] .. call}
    equal(err, "")
    equal(out, "a\tnil\ngc\n")
    equal(status, 4)
  end
end)

test("os.exit that does not close runs nothing", function()
  local status, out = run{script [[
    local a <close> = setmetatable({}, {__close = function() print "a" end})
    setmetatable({}, {__gc = function() print "gc" end})
    io.write "text"
    os.exit(4)]]}
  equal(out, "text")
  equal(status, 4)
end)

test("at the end finalizers run, the newest first", function()
  local text = [[
    for i = 1, 3 do
      _G["keep" .. i] = setmetatable({}, {__gc = function() print(i) end})
    end]]
  local _, out = run{script(text)}
  equal(out, "3\n2\n1\n")
  _, out = run{script(text .. " error 'x'")}
  equal(out, "3\n2\n1\n")
end)

test("what is to be closed in the main chunk is", function()
  local status, out, err = run{script [[
    local a <close> = setmetatable({}, {__close = function(_, e)
      print("a", e:match "^[^\n]*")
    end})
    local b <close> = setmetatable({}, {__close = function(_, e)
      print("b", e:match "^[^\n]*")
      error("second", 0)
    end})
    error("first", 0)]]}
  equal(out, "b\tfirst\na\tsecond\n")
  has(err, cli.name .. ": second\n")
  equal(status, 1)
end)

test("a file that is open at the end is written out", function()
  local path = cli.path "left-open"
  run{script(("f = io.open(%q, 'w') f:write 'x' io.write 'y'"):format(path))}
  equal(cli.read(path), "x")
  run{script(("f = io.open(%q, 'w') f:write 'x' error()"):format(path))}
  equal(cli.read(path), "x")
end)

test("an error in an -e text stops before the script", function()
  local status, out = run{"-e", "error()", script "print(1)"}
  equal(out, "")
  equal(status, 1)
end)

test("print uses no tostring of the script's, but __tostring", function()
  local _, out = run{"-e", "tostring = nil print(1, nil, "
    .. "setmetatable({}, {__tostring = function() return 'x' end}))"}
  equal(out, "1\tnil\tx\n")
end)

test("debug.debug talks on stdin and stderr", function()
  local _, out, err = run{"-e", "debug.debug()",
    input = "io.stderr:write(1000)\nprint(2)\nerror('x', 0)\ncont\nprint(3)"}
  equal(err, "lua_debug> 1000lua_debug> lua_debug> x\nlua_debug> ")
  equal(out, "2\n")
end)

cli.finish()
