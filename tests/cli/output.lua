-- Output that does not arrive, and standard files that are not there.

local cli = dofile(arg[0]:match "^(.*/)[^/]*$" .. "common/cli.lua")
local test, run, equal, has = cli.test, cli.run, cli.equal, cli.has

test("io.write gives its error, print none", function()
  local _, _, err = run{"-e", [[
    io.stdout:setvbuf "no"
    print "x"
    io.stderr:write(tostring(select(2, io.write "x")), "\n")]],
    redirect = ">/dev/full"}
  has(err, "No space left on device\n")
end)

test("standard input may be missing", function()
  local status, out = run{"-e", "print(io.read())", redirect = "<&-"}
  equal(status, 0)
  equal(out:match "^nil", "nil")
end)

test("io.close of stdout is refused", function()
  local _, out = run{"-e",
    "print(io.stdout:close()) print(io.close()) print(io.stderr:close())"}
  equal(out, ("nil\tcannot close standard file\n"):rep(3))
end)

if not cli.is_neap then cli.finish() return end

test("output that is lost is told at the end, with status 1", function()
  local status, _, err = run{"-e", "print 'x'", redirect = ">/dev/full"}
  has(err, "neap: cannot write to stdout")
  equal(status, 1)
  status, _, err = run{"-e", "io.write 'x'", redirect = ">/dev/full"}
  equal(err, "neap: cannot write to stdout: No space left on device\n")
  equal(status, 1)
  status, _, err = run{"--help", redirect = ">/dev/full"}
  has(err, "No space left on device\n")
  equal(status, 1)
  status, _, err = run{"-v", redirect = ">/dev/full"}
  has(err, "cannot write to stdout")
  equal(status, 1)
end)

test("an error's status is not changed by it", function()
  local status = run{"-e", "print 'x' os.exit(7, true)",
    redirect = ">/dev/full"}
  equal(status, 7)
end)

test("without a stdout, writing fails and nothing else does", function()
  local status, _, err = run{"-e", "x = 1", redirect = ">&-"}
  equal(err, "")
  equal(status, 0)
  status, _, err = run{"-e", "print 'x'", redirect = ">&-"}
  has(err, "neap: cannot write to stdout")
  equal(status, 1)
  status = run{"-e", "error 'x'", redirect = "2>&-"}
  equal(status, 1)
end)

test("a file that is opened does not become the missing stdout", function()
  local path = cli.path "opened"
  run{"-e", ("f = io.open(%q, 'w') print 'x' f:close()"):format(path),
    redirect = ">&-"}
  equal(cli.read(path), "")
end)

cli.finish()
