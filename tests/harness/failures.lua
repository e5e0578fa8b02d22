-- What the harness says of tests that fail, and of a file that dies.

local neap = os.getenv "NEAP" or arg[-1]

-- Runs a file under the harness and prints its results: titles, and of each
-- failure the first line of why.
local function show(file)
  local pipe = io.popen(("TEST_LIMIT=0.2 NEAP_TEST_REPORT= %s "
    .. "tests/harness.lua tests/harness/parts/%s 2>/dev/null"):format(neap,
    file))
  local failing = false
  for line in pipe:lines() do
    if not line:find "^begin" and (failing or line:sub(1, 1) ~= "|") then
      line = line:gsub("tests/harness.lua:%d+", "harness")
      line = line:gsub("tests/harness/parts/", "")
      print((line:gsub("error in task '.-'", "an error")))
    end
    failing = line:find "^fail" ~= nil
  end
  print((select(3, pipe:close())))
end

show "bad.lua"
--> ok passes
--> ok passes without a word
--> fail raises
--> |bad.lua:9: out
--> fail compares
--> |bad.lua:11: expected {1, 3}, got {1, 2}
--> fail expects in vain
--> |bad.lua:12: expected an error, got none
--> fail expects another
--> |bad.lua:14: expected TimeoutError, got text
--> fail is never done
--> |harness: timed out
--> fail leaves a task
--> |left a task behind: left
--> fail leaves an error
--> |reported: an error was never retrieved: bad.lua:21: unseen
--> fail leaves a handle
--> |left 1 open handles behind
--> fail cancels itself
--> |bad.lua:29: the task was cancelled
--> ok passes after all that
--> end 3 passed, 9 failed
--> 0

show "dies.lua"
--> ok passes
--> 7
