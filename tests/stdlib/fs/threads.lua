-- How many file threads there are.

local fs = require "neap.fs"
local process = require "neap.process"

local neap = "/proc/" .. process.pid .. "/exe"

local function script(text, env)
  local result = await process.run({neap, "-e", [[
    local fs = require "neap.fs"
    local function count()
      local status <close> = io.open "/proc/self/status"
      return tonumber(status:read "a":match "Threads:%s*(%d+)")
    end
    local before = count()
    local function failing(...)
      local ok, e = pcall(...)
      return (e:gsub("^.-:%d+: ", ""))
    end
  ]] .. text}, {check = true, env = env})
  return result.stdout
end

test("a script says how many there are", async function()
  equal(script [[
    fs.threads(7)
    print(count() - before, os.getenv "UV_THREADPOOL_SIZE")
  ]], "7\tnil\n")
  local env = process.environ()
  env.UV_THREADPOOL_SIZE = "2"
  equal(script([[
    fs.threads(3)
    print(count() - before, os.getenv "UV_THREADPOOL_SIZE")
  ]], env), "3\t2\n")
end)

test("files are used with them", async function()
  equal(script [[
    fs.threads(1)
    local dir <close> = await fs.temp_dir()
    local jobs = {}
    for i = 1, 50 do jobs[i] = fs.write_file(dir:path() .. "/" .. i, "x") end
    await asyncio.gather(jobs)
    print(#await fs.scandir(dir:path()))
  ]], "50\n")
end)

test("when files were used it is too late", async function()
  equal(script [[
    await fs.exists "/"
    print(failing(fs.threads, 7))
    print(count() - before)
  ]], "threads: files were used already\n4\n")
  equal(script [[
    fs.threads(2)
    print(failing(fs.threads, 7))
  ]], "threads: files were used already\n")
end)

test("mistakes are told", async function()
  expect_error("threads: n must be at least 1, not 0", fs.threads, 0)
  expect_error("threads: n must be at most 1024", fs.threads, 1025)
  expect_error("threads: n must be an integer, not nil", fs.threads)
  expect_error("threads: n must be an integer, not 1.5", fs.threads, 1.5)
  expect_error("threads: takes 1 argument, not 2", fs.threads, 1, 2)
end)
