--[[
The demo runs to its end from any directory, and its figures add up. Times
and numbers differ from run to run, so only what they must be is compared.
]]

local neap = os.getenv "NEAP" or "build/neap"
local pipe = io.popen(([[
  case '%s' in /*) neap='%s';; *) neap="$PWD/%s";; esac
  cd scripts/examples && "$neap" ../demo.lua 2>&1]]):format(neap, neap, neap))
local text = pipe:read "a"
local ok = pipe:close()
if not ok then print(text) end
print("status 0: " .. tostring(ok))                  --> status 0: true

local function number(label)
  local digits = text:match("([%d,.]+)  " .. label)
  return digits and tonumber((digits:gsub(",", ""))) or -1
end

local function holds(what, condition)
  print(what .. ": " .. tostring(condition))
  if not condition then print(text) end
end

local served = tonumber(text:match "serving (%d+) documents")
holds("many documents", served > 20)                 --> many documents: true
holds("each was read once", number "documents" == served)
--> each was read once: true
holds("lines", number "lines" > 1000)                --> lines: true
holds("words", number "words" > number "lines")      --> words: true
holds("some were late", number "timed out" > 0)      --> some were late: true
holds("and asked again", number "requests" > served) --> and asked again: true
holds("the server gave some up", number "left unfinished" > 0)
--> the server gave some up: true
holds("clean-up of the cancelled",
  text:find "follower was cancelled after %d+ lines and said goodbye" ~= nil)
--> clean-up of the cancelled: true
holds("nothing on stderr", not text:find "\nneap: ")
--> nothing on stderr: true
