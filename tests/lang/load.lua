-- The two words in load, in all its forms, loadfile and dofile.

local async function one() await asyncio.sleep(0) return 1 end
local source = "local f = ... return await f()"

print(load(source)(one))  --> 1
print(load(source, "=name", "t")(one))  --> 1
print(load(source, "=name", "t", {})(one))  --> 1
print(load(source, nil, "bt", nil)(one))  --> 1

-- in pieces, cut in the middle of the words
local function pieces(...)
  local list, i = {...}, 0
  return function() i = i + 1 return list[i] end
end
print(load(pieces("local f = ... return aw", "ait", " f", "()"))(one))  --> 1
print(load(pieces("local as", "ync func", "tion f() return 2 end ",
  "return await f()"), "=x", "t", _ENV)())  --> 2
print(load(pieces())())  -->
local bytes = {}
for i = 1, #source do bytes[i] = source:sub(i, i) end
print(load(pieces(table.unpack(bytes)))(one))  --> 1

-- binary, stripped or not, with and without an environment
for _, strip in ipairs {false, true} do
  local binary = string.dump(load(source), strip)
  print(load(binary)(one), load(binary, "=b", "b", {})(one))
  print(load(binary, "=b", "t"))
end
--> 1 1
--> nil attempt to load a binary chunk (mode is 't')
--> 1 1
--> nil attempt to load a binary chunk (mode is 't')
print(load(source, "=t", "b"))
--> nil attempt to load a text chunk (mode is 'b')
local full = string.dump(load [[
  local async function add(a, b) await asyncio.sleep(0) return a + b end
  local t = {add = add}
  function t:m(x) return self.add(x, 1) end
  return await add(1, 2), await t:m(3), await t.add(await add(1, 1), 3)
]])
print(load(full)())  --> 3 4 5

-- an inner function, whose environment is not its first upvalue
local inner = load(string.dump(function(x)
  return await asyncio.sleep(0, x)
end))
print(inner "dumped")  --> dumped
print(pcall(load(string.dump(function() return await f() end), "=d", "b",
  {f = one})))  --> true 1
print(load(string.dump(function(g) return await g() end), "=d", "b", {})(one))
--> 1

-- the words are seen wherever the pieces of a reader meet
local words = "--\nlocal x = await asyncio.sleep(0, 7) return x, debug.getinfo("
  .. "1).currentline"
for size = 1, 12 do
  local at = 1 - size
  local f = load(function()
    at = at + size
    return words:sub(at, at + size - 1)
  end)
  local x, line = f()
  assert(x == 7 and line == 2)
end

-- chunk names and lines in messages
local f = load("\n\nreturn await nosuch()", "@file.lua")
print(pcall(f))
--> false file.lua:3: attempt to call a nil value (global 'nosuch')
f = load("await asyncio.sleep(0)\nerror 'x'", "=(name)")
print(pcall(f))  --> false (name):2: x
f = load "await asyncio.sleep(0) error 'y'"
print(pcall(f))
--> false [string "await asyncio.sleep(0) error 'y'"]:1: y

-- syntax errors are nil and a message, never raised
print(load "local x = await f(")
--> nil [string "local x = await f("]:1: unexpected symbol near <eof>
print(load("async function f()\nreturn 1", "=x"))
--> nil x:2: 'end' expected (to close 'function' at line 1) near <eof>
print(select(2, load(function() error("from the reader", 0) end)))
--> from the reader
print(loadfile "tests/lang/parts/nosuch.lua")
--> nil cannot open tests/lang/parts/nosuch.lua: No such file or directory
print((select(2, loadfile "tests/lang/parts/broken.lua")))
--> tests/lang/parts/broken.lua:3: unexpected symbol near 'end'
print((select(2, pcall(dofile, "tests/lang/parts/broken.lua"))))
--> tests/lang/parts/broken.lua:3: unexpected symbol near 'end'

-- files, with arguments and environments
print(loadfile("tests/lang/parts/chunk.lua", "t", _ENV)(1, 2))  --> 3 1 2
local _, message = pcall(loadfile("tests/lang/parts/chunk.lua", "t", {}))
print(message:match ":%d+:.*")
--> :2: attempt to index a nil value (global 'asyncio')
