-- What becomes of a line that was typed: an expression, or statements whose
-- locals live on.

local chunk = require "neap.repl.chunk"

-- Runs the line in an environment of its own; gives the values and the names
-- that are set then.
local function run(text)
  local env = setmetatable({}, {__index = _G})
  local f, is_expression = chunk.load(text, env)
  assert(f, is_expression)
  local values = table.pack(f())
  values.n = nil
  local names = {}
  for name in pairs(env) do names[#names + 1] = name end
  table.sort(names)
  return values, table.concat(names, " "), env
end

test("locals of the top level are kept, others are not", function()
  for text, kept in pairs {
    ["local a, b = 1"] = "a",
    ["local a <const>, b = 1, 2"] = "a b",
    ["local a <close>, b = setmetatable({}, {__close = type}), 2"] = "b",
    ["local function f() local x = 1 end"] = "f",
    ["local async function f() local x = 1 end"] = "f",
    ["if true then local x = 1 end local y = 2"] = "y",
    ["for i = 1, 2 do local x = i end"] = "",
    ["repeat local x = 1 until x"] = "",
    ["local t = {f = function() local x = 1 end} local u = 1"] = "t u",
    ["local a = 'x\\' local b = 1 --' local c = 3"] = "a c",
    ["local a = \"'\" local b = \"'\""] = "a b",
    ["local a = [[ local b = 1 ]] local c = 3"] = "a c",
    ["local a = [=[ ]] local b = 1 ]=] local c = 3"] = "a c",
    ["local a = 1 --[[ local b = 2\n]] local c = 3"] = "a c",
    ["local a = 1 -- local b = 2\nlocal c = 3"] = "a c",
    ["local a = 0x1p4 local b = 3.5e-1 local c = 1"] = "a b c",
    ["x = 1; local y = 2"] = "x y",
  } do
    local _, names = run(text)
    if names ~= kept then error(("%s: kept '%s'"):format(text, names)) end
  end
end)

test("a return comes after the locals", function()
  local values, names = run "local a = 1 return a, 2"
  equal(values, {1, 2})
  equal(names, "a")
end)

test("a line that goes on is told from one that is wrong", function()
  for _, text in ipairs {"for i = 1, 2 do", "f(", "x =", "[[", "--[[",
    "a.b:"} do
    local f, message = chunk.load(text, {})
    equal({f, message}, {})
  end
  for _, text in ipairs {"x = )", "x = 'abc", "end", "1 +* 2", "=1 2"} do
    local f, message = chunk.load(text, {})
    assert(not f and message, text)
  end
  equal(select(2, chunk.load("= 1", {})), true)
end)
