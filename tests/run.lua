--[[
run.lua - runs the tests: build/neap tests/run.lua [part of a path]...

Each of these runs in a process of its own with a time limit; only the paths
that contain one of the arguments are run:

  $B/tests/lib, $B/tests/vm  programs in C, which pass with status 0
  tests/lang, tests/harness, tests/examples, scripts/examples, and the ```lua
                             blocks of doc/ that say what they print:
                             programs with their output beside them:
                             `--> TEXT` is a line of stdout (blanks stand for
                             tabs), all of them, in order; `--!> TEXT` is in
                             a line of stderr, in order, and without any of
                             these stderr is empty; `--status N` is the status.
                             Other blocks of doc/ are only compiled.
  tests/cli                  programs that print how many tests passed
  tests/stdlib/MODULE        files of test("title", f), run by harness.lua

This file is plain Lua and waits for nothing but processes, so that lua5.4
can run it when neap itself is what is broken.

  B              the build directory (build)
  NEAP           the interpreter under test (what runs this file, if it is
                 a neap, or else $B/neap)
  TEST_TIMEOUT   seconds for each file (60, or 240 with NEAP_TEST_GC)
  NEAP_TEST_GC   1: the collector never rests; 2: it also runs in full
                 between the steps of each test
]]

local build = os.getenv "B" or "build"
local stress = os.getenv "NEAP_TEST_GC"
if stress == "" or stress == "0" then stress = nil end
local seconds = tonumber(os.getenv "TEST_TIMEOUT") or stress and 240 or 60

-- == Files and processes ================================================

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text or ""
end

local function write_file(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  assert(file:close())
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return text
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n?" do lines[#lines + 1] = line end
  while lines[#lines] == "" do lines[#lines] = nil end
  return lines
end

local function interpreter()
  local named = os.getenv "NEAP"
  if named and named ~= "" then return named end
  local first = -1
  while arg[first - 1] do first = first - 1 end
  if arg[first] and arg[first]:find "neap[^/]*$" then return arg[first] end
  return build .. "/neap"
end

local neap = interpreter()
local scratch = output_of "mktemp -d":gsub("%s+$", "")

-- The paths that `find` gives, sorted, so that two runs are alike.
local function find(where, what)
  local found = lines_of(output_of(
    ("find %s %s 2>/dev/null | LC_ALL=C sort"):format(where, what)))
  local wanted = {}
  for _, path in ipairs(found) do
    local take = #arg == 0
    for _, part in ipairs(arg) do
      take = take or path:find(part, 1, true) ~= nil
    end
    if take then wanted[#wanted + 1] = path end
  end
  return wanted
end

-- Runs a shell command under the time limit; gives its status (128 + n when
-- a signal ended it), what it wrote, and a line about a bad end or nil.
local function run(command, environment)
  local out, err = scratch .. "/out", scratch .. "/err"
  local settings = "NEAP=" .. quote(neap)
  if stress then
    settings = settings .. " LUA_INIT=" .. quote
      "collectgarbage('setpause', 0) collectgarbage('setstepmul', 1000)"
  end
  local _, how, status = os.execute(
    ("env %s %s timeout -k 5 %d %s </dev/null >%s 2>%s"):format(settings,
      environment or "", seconds, command, quote(out), quote(err)))
  if how == "signal" then status = 128 + status end
  local trouble
  if status == 124 or status == 137 then
    trouble = ("not finished after %d seconds"):format(seconds)
  elseif status > 128 then
    trouble = ("ended by signal %d"):format(status - 128)
  end
  return status, read_file(out), read_file(err), trouble
end

-- == Reporting ==========================================================

local passed, failed = 0, 0

local function indent(text)
  return "    " .. text:gsub("%s+$", ""):gsub("\n", "\n    ")
end

-- One line for a file, and below it what failed: a list of {title, text}.
local function report(path, count, failures)
  passed, failed = passed + count, failed + #failures
  local total = count + #failures
  print(("%s %s (%d)"):format(#failures == 0 and "ok  " or "FAIL", path,
    total))
  for _, failure in ipairs(failures) do
    print("  failed: " .. failure.title)
    if failure.text ~= "" then print(indent(failure.text)) end
  end
  io.stdout:flush()
end

local function tail(text, most)
  if #text <= most then return text end
  return "[...]\n" .. text:sub(-most)
end

local function with_output(text, out, err)
  local parts = {text}
  if out ~= "" then parts[#parts + 1] = "stdout:\n" .. tail(out, 4000) end
  if err ~= "" then parts[#parts + 1] = "stderr:\n" .. tail(err, 8000) end
  return table.concat(parts, "\n")
end

-- == Programs in C ======================================================

-- A program passes by ending with status 0.
local function run_program(path)
  local status, out, err, trouble = run(quote(path))
  local failures = {}
  if status ~= 0 then
    trouble = trouble or ("exit status %d"):format(status)
    failures[1] = {title = path, text = with_output(trouble, out, err)}
  end
  report(path, 1 - #failures, failures)
end

-- == Programs in Lua with their output beside them ======================

-- What a source expects: the lines after `-->`, in order; texts that lines
-- on stderr contain, after `--!>`, in order; the status after `--status`.
local function expectations(source)
  local out, err, status = {}, {}, 0
  for _, line in ipairs(lines_of(source)) do
    local text = line:match "^.*%-%-!> ?(.*)$"
    if text then
      err[#err + 1] = text
    else
      text = line:match "^.*%-%-> ?(.*)$"
      if text then out[#out + 1] = text end
    end
    status = tonumber(line:match "^%s*%-%-status (%d+)%s*$") or status
  end
  return out, err, status
end

local function blank(text)
  return text and text:gsub("\t", " ")
end

local function compare_output(expected, text)
  local got = lines_of(text)
  for i = 1, math.max(#expected, #got) do
    local want, have = expected[i], got[i]
    if blank(want) ~= blank(have) then
      return ("line %d of the output\n  expected: %s\n  got:      %s")
        :format(i, want or "(the end)", have or "(the end)")
    end
  end
end

local function compare_errors(expected, text)
  local got, at = lines_of(text), 1
  if #expected == 0 and #got > 0 then
    return "expected nothing on stderr"
  end
  for _, want in ipairs(expected) do
    while got[at] and not got[at]:find(want, 1, true) do at = at + 1 end
    if not got[at] then
      return "stderr has no line (or none in this order) with\n  " .. want
    end
    at = at + 1
  end
end

local function check_golden(path, source, title)
  local want_out, want_err, want_status = expectations(source)
  local status, out, err, trouble = run(quote(neap) .. " " .. quote(path))
  trouble = trouble or compare_output(want_out, out)
    or compare_errors(want_err, err)
  if not trouble and status ~= want_status then
    trouble = ("exit status %d, expected %d"):format(status, want_status)
  end
  if trouble then
    return {title = title, text = with_output(trouble, out, err)}
  end
end

local function run_golden(path)
  local failures = {check_golden(path, read_file(path), path)}
  report(path, 1 - #failures, failures)
end

-- The fenced Lua blocks of a page, each with as many empty lines before it
-- as put its lines where they stand in the page.
local function examples(page)
  local found, block, opened = {}, nil, 0
  for number, line in ipairs(lines_of(page)) do
    if not block and line:match "^```lua%s*$" then
      block, opened = {("\n"):rep(number)}, number
    elseif block and line:match "^```%s*$" then
      local source = table.concat(block)
      found[#found + 1] = {
        line = opened, source = source, runs = source:find "%-%-!?> ",
      }
      block = nil
    elseif block then
      block[#block + 1] = line .. "\n"
    end
  end
  return found
end

-- One that does not say what it prints may need what is not here.
local function check_loads(file, title)
  local status, out, err = run(("%s -e 'assert(loadfile %q)'"):format(
    quote(neap), file))
  if status ~= 0 then
    return {title = title, text = with_output("is no program", out, err)}
  end
end

local function run_page(path)
  local failures, count = {}, 0
  for _, example in ipairs(examples(read_file(path))) do
    local file = scratch .. "/example.lua"
    write_file(file, example.source)
    local title = ("%s:%d"):format(path, example.line)
    local failure
    if example.runs then failure = check_golden(file, example.source, title)
    else failure = check_loads(file, title) end
    if failure then failures[#failures + 1] = failure else count = count + 1 end
  end
  if count + #failures > 0 then report(path, count, failures) end
end

-- == Programs that count for themselves =================================

-- They print FAIL and a title for each failure, "skipped: WHY" for what cannot
-- run here, and "N passed, M failed".
local function run_counting(path)
  local status, out, err, trouble = run(quote(neap) .. " " .. quote(path))
  local count, bad = out:match "(%d+) passed, (%d+) failed%s*$"
  local failures = {}
  if status ~= 0 or count == nil or bad ~= "0" then
    trouble = trouble or ("exit status %d"):format(status)
    failures[1] = {title = path, text = with_output(trouble, out, err)}
  end
  report(path, tonumber(count) or 0, failures)
  for why in out:gmatch "skipped: ([^\n]*)" do print("  skipped: " .. why) end
end

-- == Files of test("title", ...) ========================================

-- Reads what harness.lua wrote: the number that passed, the failures, the
-- title of a test that was begun and never ended, whether all were run, and
-- what was skipped.
local function results(text)
  local count, failures, begun, ended, skipped = 0, {}, nil, false, {}
  for _, line in ipairs(lines_of(text)) do
    local verb, rest = line:match "^(%l+) (.*)$"
    if verb == "begin" then
      begun = rest
    elseif verb == "ok" then
      count, begun = count + 1, nil
    elseif verb == "fail" then
      failures[#failures + 1], begun = {title = rest, text = ""}, nil
    elseif verb == "end" then
      ended = true
    elseif verb == "skip" then
      skipped[#skipped + 1] = rest
    elseif line:sub(1, 1) == "|" and #failures > 0 then
      local last = failures[#failures]
      last.text = last.text .. line:sub(2) .. "\n"
    end
  end
  return count, failures, begun, ended, skipped
end

-- What should not be on stderr although every test passed.
local function unexpected(source, err)
  local _, want = expectations(source)
  if #want > 0 then return compare_errors(want, err) end
  for _, line in ipairs(lines_of(err)) do
    if line:find "never awaited" or line:find "never retrieved" then
      return "unexpected on stderr: " .. line
    end
  end
end

local function run_tests(path)
  local file = scratch .. "/results"
  write_file(file, "")
  local status, out, err, trouble = run(
    ("%s tests/harness.lua %s"):format(quote(neap), quote(path)),
    "NEAP_TEST_REPORT=" .. quote(file))
  local count, failures, begun, ended, skipped = results(read_file(file))
  if not ended and not trouble then
    trouble = ("ended early with status %d"):format(status)
  elseif not trouble and #failures == 0 then
    trouble = status ~= 0 and ("exit status %d"):format(status)
      or unexpected(read_file(path), err)
  end
  if trouble then
    failures[#failures + 1] = {
      title = begun or path,
      text = with_output(trouble, out, err),
    }
  elseif #failures > 0 and err ~= "" then
    local last = failures[#failures]
    last.text = with_output(last.text, "", err)
  end
  report(path, count, failures)
  for _, text in ipairs(skipped) do print("  skipped: " .. text) end
end

-- == Everything, sorted by kind and by name =============================

local kinds = {
  {build .. "/tests/lib " .. build .. "/tests/vm",
    "-maxdepth 1 -type f -perm -u+x ! -name '*.*'", run_program},
  {"tests/lang tests/harness tests/examples scripts/examples",
    "-maxdepth 1 -name '*.lua'", run_golden},
  {"tests/cli", "-maxdepth 1 -name '*.lua'", run_counting},
  {"tests/stdlib", "-mindepth 2 -maxdepth 2 -name '*.lua'", run_tests},
  {"doc README.md", "-name '*.md'", run_page},
}

for _, kind in ipairs(kinds) do
  local where, what, runner = table.unpack(kind)
  for _, path in ipairs(find(where, what)) do runner(path) end
end

os.execute("rm -rf " .. quote(scratch))
print(("%d passed, %d failed"):format(passed, failed))
if failed > 0 or passed == 0 then os.exit(1, true) end
