-- scandir, walk, glob.

local fs = require "neap.fs"

local function sorted(list)
  table.sort(list)
  return list
end

-- A directory with these files, and with directories for what ends in "/".
local function tree(names)
  local dir = await fs.temp_dir()
  for _, name in ipairs(names) do
    local path = dir:path() .. "/" .. name
    if name:find "/$" then
      await fs.mkdir(path, {parents = true})
    else
      await fs.mkdir(path:match "^(.*)/", {parents = true})
      await fs.write_file(path, "")
    end
  end
  return dir
end

test("scandir gives names, paths and types", async function()
  local dir <close> = tree {"a", "d/", ".hidden"}
  await fs.symlink("a", dir:path "l")
  local types = {}
  for entry in fs.scandir(dir:path()) do
    types[entry.name] = entry.type
    equal(entry.path, dir:path() .. "/" .. entry.name)
  end
  equal(types, {a = "file", d = "directory", l = "link",
    [".hidden"] = "file"})
  local top = dir:path() .. "/"
  equal((await fs.scandir(top))[1].path:match "^(.*/)", top)
end)

test("scandir streams directories of any size", async function()
  local dir <close> = await fs.temp_dir()
  local writes = {}
  for i = 1, 3000 do
    writes[i] = fs.write_file(dir:path() .. "/" .. ("x"):rep(50) .. i, "")
  end
  await asyncio.gather(writes)
  local n = 0
  for _ in fs.scandir(dir:path()) do n = n + 1 end
  equal(n, 3000)
  equal(#await fs.scandir(dir:path()), 3000)
end)

test("scandir of nothing and of what is no directory", async function()
  local dir <close> = tree {"a", "d/"}
  equal(await fs.scandir(dir:path "d"), {})
  local function scan(path) return await fs.scandir(path) end
  local e = expect_error(asyncio.OSError, scan, dir:path "none")
  equal(e.message,
    "scandir " .. dir:path() .. "/none: no such file or directory")
  equal(e.path, dir:path "none")
  equal(expect_error(asyncio.OSError, scan, dir:path "a").code, "ENOTDIR")
end)

test("scandir reads what a link leads to", async function()
  local dir <close> = tree {"d/a"}
  await fs.symlink("d", dir:path "link")
  local entries = await fs.scandir(dir:path "link")
  equal(entries, {{name = "a", path = dir:path "link/a", type = "file"}})
end)

test("an iterator ends once and stays ended", async function()
  local dir <close> = tree {"a"}
  local scan = fs.scandir(dir:path())
  equal(scan().name, "a")
  equal(scan(), nil)
  equal(scan(), nil)
  scan:close()
end)

local function paths(iterator, dir)
  local list = {}
  for entry in iterator do
    list[#list + 1] = entry.path:sub(#dir:path() + 2)
  end
  return sorted(list)
end

test("walk gives all that is below", async function()
  local dir <close> = tree {"a", "d/b", "d/e/c", "d/e/f/", "g/"}
  equal(paths(fs.walk(dir:path()), dir),
    {"a", "d", "d/b", "d/e", "d/e/c", "d/e/f", "g"})
  equal(paths(fs.walk(dir:path(), {depth = 2}), dir),
    {"a", "d", "d/b", "d/e", "g"})
  local seen = {}
  for entry in fs.walk(dir:path()) do
    local parent = entry.path:match "^(.*)/"
    assert(entry.depth == 1 or seen[parent])
    seen[entry.path] = true
    if entry.name == "e" then entry.skip = true end
  end
  assert(not seen[dir:path "d/e/c"])
end)

test("walk follows links only if told to, and never in a circle",
    async function()
  local dir <close> = tree {"d/a", "e/b"}
  await fs.symlink("..", dir:path "d/up")
  await fs.symlink("../e", dir:path "d/e")
  equal(paths(fs.walk(dir:path()), dir),
    {"d", "d/a", "d/e", "d/up", "e", "e/b"})
  equal(paths(fs.walk(dir:path(), {follow = true}), dir),
    {"d", "d/a", "d/e", "d/e/b", "d/up", "e", "e/b"})
end)

test("walk raises what it cannot read, or tells", async function()
  local dir <close> = tree {"d/a", "b"}
  local e = expect_error(asyncio.OSError, function()
    for _ in fs.walk(dir:path "none") do end
  end)
  equal(e.code, "ENOENT")
  local errors = {}
  for _ in fs.walk(dir:path "none", {
    on_error = function(err) errors[#errors + 1] = err.code end,
  }) do end
  equal(errors, {"ENOENT"})
end)

test("walk bears a directory that vanishes", async function()
  local dir <close> = tree {"d/e/a"}
  local list = {}
  for entry in fs.walk(dir:path()) do
    list[#list + 1] = entry.name
    await fs.remove(dir:path "d", {recursive = true, missing_ok = true})
  end
  equal(list, {"d"})
end)

local files = {
  "a.c", "b.c", "b.h", ".dot.c", "src/x.c", "src/y.h", "src/deep/z.c",
  "src/.hid/w.c", "odd/[a].c", "odd/b*.c", "odd/c d.c",
  "odd/{q}.c", "odd/p,q.c",
}

test("glob", async function()
  local dir <close> = tree(files)
  local cases = {
    ["*.c"] = {"a.c", "b.c"},
    ["?.h"] = {"b.h"},
    ["[!a].c"] = {"b.c"},
    ["[a-b].[ch]"] = {"a.c", "b.c", "b.h"},
    [".*.c"] = {".dot.c"},
    ["*/*.c"] = {"odd/[a].c", "odd/b*.c", "odd/c d.c", "odd/p,q.c",
      "odd/{q}.c", "src/x.c"},
    ["src/*"] = {"src/deep", "src/x.c", "src/y.h"},
    ["src/x.c"] = {"src/x.c"},
    ["src/none"] = {},
    ["none/*"] = {},
    ["a.c/*"] = {},
    ["src/**"] = {"src/deep", "src/deep/z.c", "src/x.c", "src/y.h"},
    ["**/*.h"] = {"b.h", "src/y.h"},
    ["**/z.c"] = {"src/deep/z.c"},
    ["**/deep/*"] = {"src/deep/z.c"},
    ["src/**/x.c"] = {"src/x.c"},
    ["**/**/z.c"] = {"src/deep/z.c"},
    ["**/src/**/*.c"] = {"src/deep/z.c", "src/x.c"},
    ["{a,b}.{c,h}"] = {"a.c", "b.c", "b.h"},
    ["{*.h,{a,*}.c}"] = {"a.c", "b.c", "b.h"},
    ["{src,odd}/{x,c d}.c"] = {"odd/c d.c", "src/x.c"},
    ["odd/\\[a\\].c"] = {"odd/[a].c"},
    ["odd/b\\*.c"] = {"odd/b*.c"},
    ["odd/[[]a].c"] = {"odd/[a].c"},
    ["odd/{q}.c"] = {"odd/{q}.c"},
    ["odd/{none,p\\,q}.c"] = {"odd/p,q.c"},
    ["*/"] = {"odd/", "src/"},
    ["src/*/"] = {"src/deep/"},
    ["{x"] = {},
    ["*"] = {"a.c", "b.c", "b.h", "odd", "src"},
  }
  for pattern, wanted in pairs(cases) do
    local found = sorted(await fs.glob(pattern, {root = dir:path()}))
    if table.concat(found, "|") ~= table.concat(wanted, "|") then
      error(pattern .. " gave " .. table.concat(found, "|"))
    end
    local absolute = sorted(await fs.glob((dir:path() .. "/"):gsub("%-", "?") ..
      pattern))
    equal(#absolute, #wanted)
  end
  equal(#await fs.glob("**/*.c", {root = dir:path(), dot = true}), 11)
  equal(await fs.glob "/", {"/"})
end)

test("classes of every form", async function()
  local dir <close> = await fs.temp_dir()
  local names = {"]", "a", "b", "%", "^", "-", "\\", "!"}
  for _, name in ipairs(names) do await fs.write_file(dir:path(name), "") end
  local cases = {
    ["[]a]"] = {"]", "a"},
    ["[\\]a]"] = {"]", "a"},
    ["[!]a-z^-]"] = {"!", "%", "\\"},
    ["[]-a]"] = {"]", "^", "a"},
    ["[a-\\b]"] = {"a", "b"},
    ["[%a]"] = {"%", "a"},
    ["[\\\\^]"] = {"\\", "^"},
    ["[b-a]"] = {},
    ["[!b-a]"] = sorted(names),
    ["[a"] = {},
  }
  for pattern, wanted in pairs(cases) do
    local found = sorted(await fs.glob(pattern, {root = dir:path()}))
    equal(table.concat(found, " "), table.concat(wanted, " "))
  end
end)

test("a glob with many stars does not go back and forth", async function()
  local dir <close> = await fs.temp_dir()
  local name = ("a"):rep(250)
  await fs.write_file(dir:path(name), "")
  local root = {root = dir:path()}
  equal(await fs.glob(("*a"):rep(100) .. "*b", root), {})
  equal(await fs.glob(("*a"):rep(250) .. "*", root), {name})
  equal(await fs.glob(("*a"):rep(251), root), {})
  equal(await fs.glob("a*" .. name:sub(2), root), {name})
  equal(await fs.glob("a*" .. name, root), {})
end)

test("glob starts in the current directory", async function()
  local found = sorted(await fs.glob "stdlib/fs/f*.lua")
  equal(found, {"stdlib/fs/fs.lua"})
end)

test("glob finds broken links", async function()
  local dir <close> = tree {"a"}
  await fs.symlink("none", dir:path "broken")
  equal(await fs.glob("broken", {root = dir:path()}), {"broken"})
  equal(await fs.glob("b*", {root = dir:path()}), {"broken"})
end)

test("glob goes behind links but for **", async function()
  local dir <close> = tree {"d/a", "d/e/a"}
  await fs.symlink("d", dir:path "link")
  local root = {root = dir:path()}
  equal(sorted(await fs.glob("*/a", root)), {"d/a", "link/a"})
  equal(sorted(await fs.glob("l*/*/a", root)), {"link/e/a"})
  equal(sorted(await fs.glob("**/a", root)), {"d/a", "d/e/a"})
end)

test("a loop that is left closes its directories", async function()
  local dir <close> = tree {"d/e/a", "b"}
  for i = 1, 1000 do
    await fs.write_file(dir:path() .. "/d/" .. ("x"):rep(60) .. i, "")
  end
  local before = #await fs.scandir "/proc/self/fd"
  for _ = 1, 10 do
    for _ in fs.scandir(dir:path "d") do break end
    for _ in fs.walk(dir:path()) do break end
    for _ in fs.glob("**/x*", {root = dir:path()}) do break end
  end
  repeat -- in the background
    await asyncio.sleep(0.002)
  until #await fs.scandir "/proc/self/fd" <= before
end)

test("a loop goes through a list of the rest as well", async function()
  local dir <close> = await fs.temp_dir()
  for i = 1, 3 do await fs.write_file(dir:path(tostring(i)), "") end
  local names = {}
  for entry in await fs.scandir(dir:path()) do
    names[#names + 1] = entry.name
  end
  equal(sorted(names), {"1", "2", "3"})
  local list = await fs.glob(dir .. "/*")
  for _ in list do break end
  local n = 0
  for path in list do
    n = n + 1
    equal(path, list[n])
  end
  equal(n, 3)
end)

test("walk bears a directory that has become something else",
    async function()
  for _, replace in ipairs {
    function(path) await fs.write_file(path, "") end,
    function(path) await fs.symlink("/", path) end,
    function(path) await fs.symlink(path, path) end,
  } do
    for _, follow in ipairs {false, true} do
      local dir <close> = tree {"d/", "d/x"}
      local names = {}
      for entry in fs.walk(dir:path(), {depth = 2, follow = follow}) do
        if entry.depth == 1 then names[#names + 1] = entry.name end
        if entry.name == "d" then
          await fs.remove(entry.path, {recursive = true})
          replace(entry.path)
        end
      end
      equal(names, {"d"})
    end
  end
end)
