-- LUA_INIT, LUA_PATH, LUA_CPATH, their forms with a version, and -E.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, run, equal, has = cli.test, cli.run, cli.equal, cli.has

local function gives(wanted, what)
  local status, out, err = run(what)
  equal(err, "")
  equal(out, wanted)
  equal(status, 0)
end

test("LUA_INIT runs before everything", function()
  gives("1\n2\n", {"-e", "print(2)", env = "LUA_INIT='print(1)'"})
  gives("10\n", {cli.script "print(X)", env = "LUA_INIT='X = tonumber(10)'"})
  gives("1\n3\n", {env = "LUA_INIT='print(1)'", input = "print(3)"})
end)

test("LUA_INIT may name a file", function()
  local init = cli.script "X = 'init' print(debug.getinfo(1).source, ...)"
  gives("@" .. init .. "\ninit\n",
    {"-e", "print(X)", env = "LUA_INIT=@" .. init})
end)

test("the form with a version comes first", function()
  gives("54\n", {"-e", "print(X)",
    env = "LUA_INIT='X = 5' LUA_INIT_5_4='X = 54'"})
  gives("nil\n", {"-e", "print(X)", env = "LUA_INIT='X = 5' LUA_INIT_5_4="})
end)

test("an error in LUA_INIT ends it all", function()
  local status, out, err = run{"-e", "print(1)", env = "LUA_INIT='error(10)'"}
  equal(status, 1)
  equal(out, "")
  has(err, cli.name .. ": 10\nstack traceback:\n")
  status, _, err = run{"-e", "print(1)", env = "LUA_INIT='x ='"}
  equal(status, 1)
  has(err, "LUA_INIT:1: unexpected symbol near <eof>")
  status, _, err = run{"-e", "print(1)", env = "LUA_INIT_5_4='error \"x\"'"}
  equal(status, 1)
  has(err, "LUA_INIT_5_4:1: x")
  status, _, err = run{"-e", "print(1)", env = "LUA_INIT=@/no/such/file"}
  equal(status, 1)
  has(err, "cannot open /no/such/file")
end)

test("LUA_PATH and LUA_CPATH are the paths", function()
  local show = {"-e", "print(package.path) print(package.cpath)"}
  local function with(env)
    show.env = env
    return select(2, run(show)):match "^(.-)\n(.-)\n$"
  end
  local path, cpath = with ""
  equal(with "LUA_PATH=xyz", "xyz")
  equal(select(2, with "LUA_CPATH=xyz"), "xyz")
  equal(select(2, with "LUA_PATH=xyz"), cpath)
  equal(with "LUA_PATH=a LUA_PATH_5_4=b", "b")
  equal(select(2, with "LUA_CPATH=a LUA_CPATH_5_4=b"), "b")
  equal(with "LUA_PATH='x;;y'", "x;" .. path .. ";y")
  equal(with "LUA_PATH=';;'", path)
  equal(with "LUA_PATH='x;;'", "x;" .. path)
  equal(with "LUA_PATH=';;x'", path .. ";x")
  equal(select(2, with "LUA_CPATH='?.so;;'"), "?.so;" .. cpath)
  equal(with "LUA_PATH=", "")
end)

test("-E ignores them all", function()
  local env = "LUA_INIT='print(1)' LUA_INIT_5_4='print(2)' LUA_PATH=x "
    .. "LUA_PATH_5_4=y LUA_CPATH=x LUA_CPATH_5_4=y"
  local text = "print(package.path) print(package.cpath)"
  local _, plain = run{"-e", text}
  gives(plain, {"-E", "-e", text, env = env})
  gives(plain, {"-e", text, "-E", env = env})
  gives("true\n", {"-E", "-e",
    "print(debug.getregistry().LUA_NOENV)", env = env})
  gives("x\n", {"-E", "-e", "print(os.getenv 'LUA_CPATH')", env = env})
end)

cli.finish()
