-- Mistakes in calls: strings with the caller's line that name the argument.

local fs = require "neap.fs"

local function mistake(text, f, ...)
  local args = table.pack(...)
  local e = expect_error(text, function()
    local function call()
      local value = f(table.unpack(args, 1, args.n))
      if asyncio.iscoroutine(value) then value = await value end
      return value
    end
    local value = call()
    return value
  end)
  if type(e) ~= "string" then error("no string: " .. tostring(e), 2) end
  assert(e:find "^tests/stdlib/fs/arguments%.lua:%d+: ", e)
end

local one_path = {
  "open", "read_file", "stat", "lstat", "exists", "mkdir", "remove",
  "readlink", "realpath", "scandir", "walk", "watch", "utime",
}
local two_paths = {"rename", "link", "copy"}

test("a path is a string, not empty, without NUL", async function()
  for _, name in ipairs(one_path) do
    mistake(name .. ": path must be a string, not nil", fs[name])
    mistake(name .. ": path must be a string, not number", fs[name], 1)
    mistake(name .. ": path is empty", fs[name], "")
    mistake(name .. ": path has a NUL", fs[name], "a\0b")
  end
  for _, name in ipairs(two_paths) do
    mistake(name .. ": path has a NUL", fs[name], "a\0b", "x")
    mistake(name .. ": dest has a NUL", fs[name], "x", "a\0b")
    mistake(name .. ": dest must be a string, not nil", fs[name], "x")
  end
  mistake("symlink: target has a NUL", fs.symlink, "a\0", "x")
  mistake("symlink: path is empty", fs.symlink, "a", "")
  mistake("write_file: path has a NUL", fs.write_file, "a\0", "x")
  mistake("append_file: path is empty", fs.append_file, "", "x")
  mistake("chmod: path is empty", fs.chmod, "", "644")
  mistake("glob: pattern has a NUL", fs.glob, "a\0")
end)

test("options are known", async function()
  for _, name in ipairs {
    "mkdir", "remove", "read_file", "stat", "lstat", "exists", "readlink",
    "realpath", "scandir", "walk", "glob", "watch",
  } do
    mistake(name .. ": unknown option 'x'", fs[name], "p", {x = 1})
  end
  for _, name in ipairs {"write_file", "append_file", "copy", "open"} do
    local second = name == "open" and "r" or "b"
    mistake(name .. ": unknown option 'x'", fs[name], "a", second, {x = 1})
    mistake(name .. ": options must be a table, not boolean", fs[name], "a",
      second, true)
  end
  mistake("rename: unknown option 'force'", fs.rename, "a", "b",
    {force = true})
  mistake("temp_file: unknown option 'x'", fs.temp_file, {x = 1})
  mistake("temp_dir: unknown option 'x'", fs.temp_dir, {x = 1})
  mistake("append_file: unknown option 'atomic'", fs.append_file, "a", "b",
    {atomic = true})
end)

test("options have the right type", async function()
  mistake("mkdir: parents must be a boolean, not number", fs.mkdir, "a",
    {parents = 1})
  mistake("mkdir: mode must be an integer or octal digits, not \"8\"",
    fs.mkdir, "a", {mode = "8"})
  mistake("mkdir: mode must be from 0 to 7777 octal", fs.mkdir, "a",
    {mode = 4096})
  mistake("mkdir: mode must be an integer or octal digits, not boolean",
    fs.mkdir, "a", {mode = true})
  mistake("chmod: mode must be", fs.chmod, "a")
  mistake("chmod: mode must be an integer or octal digits, not 1.5",
    fs.chmod, "a", 1.5)
  for _, digits in ipairs {"644", "600", "755", "777"} do
    mistake(("chmod: mode is %s, which is %o octal: write it as %q"):format(
      digits, digits, digits), fs.chmod, "a", tonumber(digits))
  end
  mistake("mkdir: mode is 700, which is 1274 octal", fs.mkdir, "a",
    {mode = 700})
  mistake("chmod: unknown option 'x'", fs.chmod, "a", "644", {x = 1})
  mistake("remove: recursive must be a boolean", fs.remove, "a",
    {recursive = "yes"})
  mistake("walk: depth must be at least 1, not 0", fs.walk, "a",
    {depth = 0})
  mistake("walk: on_error must be a function", fs.walk, "a",
    {on_error = 1})
  mistake("glob: root is empty", fs.glob, "a", {root = ""})
  mistake("temp_file: prefix has a NUL or a slash", fs.temp_file,
    {prefix = "a/b"})
  mistake("write_file: atomic must be a boolean", fs.write_file, "a", "b",
    {atomic = 1})
  mistake("write_file: data must be a string, not nil", fs.write_file, "a")
  mistake("write_file: data must be a string, not table", fs.write_file,
    "a", {})
  mistake("open: mode must be a string, not number", fs.open, "a", 1)
  mistake("utime: atime must be a number, not string", fs.utime, "a", "now")
  mistake("utime: mtime is out of range", fs.utime, "a", 1, 1 / 0)
  mistake("stat: takes 1 argument, not 2", fs.stat, "a", "b")
end)

test("so do the arguments of File", async function()
  local file <close> = await fs.open("/dev/zero", "r+")
  mistake("read: n must be at least 0, not -1", file.read, file, -1)
  mistake("read: n must be an integer, not 1.5", file.read, file, 1.5)
  mistake("read: n must be an integer, not table", file.read, file, {})
  mistake("read_line: max must be at least 1, not 0", file.read_line, file,
    0)
  mistake("lines: max must be an integer", file.lines, file, "x")
  mistake("seek: offset must be an integer, not string", file.seek, file,
    "set", "1")
  mistake("truncate: size must be at least 0, not -1", file.truncate, file,
    -1)
  mistake("read: takes 1 argument, not 2", file.read, file, "l", "l")
  mistake("read_line: takes 1 argument, not 2", file.read_line, file, 1, 2)
  mistake("read_all: takes 0 arguments, not 1", file.read_all, file, 1)
  mistake("seek: takes 2 arguments, not 3", file.seek, file, "set", 0, 1)
  mistake("sync: takes 0 arguments, not 1", file.sync, file, 1)
end)
