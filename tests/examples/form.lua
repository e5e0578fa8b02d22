--[[
Each example opens with a comment that says what it shows, says what it
prints, and can be read on a narrow page.
]]

local function complain(path, what) print(path .. ": " .. what) end

local count = 0
for path in io.popen "ls scripts/examples/*.lua":lines() do
  count = count + 1
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  if not text:find "^%-%-%[%[\n%a" then complain(path, "no opening comment") end
  if not text:find "%-%-!?> " then complain(path, "no expected output") end
  for line in text:gmatch "[^\n]+" do
    if #line > 80 then complain(path, "a long line: " .. line) end
  end
end
print(count > 20)  --> true
