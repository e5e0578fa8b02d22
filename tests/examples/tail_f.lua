--[[
The tail of the examples: a line that is written in two pieces is one line, a
cut file begins anew, and one that was replaced is read to its end.
]]

local fs = require "neap.fs"
local process = require "neap.process"

local dir <close> = await fs.temp_dir()
local log = dir:path "log"
await fs.write_file(log, "one\ntw")
local child <close> = process.spawn({"/proc/" .. process.pid .. "/exe",
  "scripts/examples/tail_f.lua", log}, {stdout = "pipe"})
local function line() print(await child.stdout:read_line()) end

line()  --> one
await fs.append_file(log, "o\n")
line()  --> two
await fs.write_file(log, "cut\n")
line()  --> cut
await fs.append_file(log, "la")
await fs.append_file(log, "st")
await fs.rename(log, dir:path "log.1")
await fs.write_file(log, "new\n")
line()  --> last
line()  --> new
