--[[
What doc/embedding.md shows of C stands in a file of scripts/embed, where it
is compiled and run, each by a test of tests/vm.
]]

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local sources = {}
for path in io.popen "ls scripts/embed/*.c":lines() do
  local name = path:match "([^/]*)%.c$"
  sources[#sources + 1] = read(path)
  if not io.open("tests/vm/embed_" .. name .. ".c") then
    print(path .. ": no test")
  end
end

local page, count = read "doc/embedding.md", 0
for block in page:gmatch "\n```c\n(.-\n)```" do
  count = count + 1
  local found = false
  for _, source in ipairs(sources) do
    found = found or source:find("\n" .. block, 1, true)
  end
  if not found then print("in no file:\n" .. block) end
end
print(count > 5)  --> true
