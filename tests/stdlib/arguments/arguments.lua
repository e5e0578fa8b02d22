-- What functions are given, and what is said about it.

local arguments = require "neap.arguments"

local known = {
  name = arguments.name, seconds = arguments.seconds,
  on = arguments.boolean, count = arguments.integer(1, 9),
}

local function take(options)
  return arguments.options("take", options, known)
end

test("right options are given back, none is an empty table", function()
  local options = {name = "x", seconds = 0.5, on = false, count = 9}
  equal(take(options), options)
  equal(take(nil), {})
end)

test("each wrong option is named with its complaint", function()
  local wrong = {
    ["take: options must be a table, not string"] = "x",
    ["take: unknown option 'nam'"] = {nam = 1},
    ["take: unknown option '1'"] = {"x"},
    ["take: name must be a string, not number"] = {name = 1},
    ["take: name is empty"] = {name = ""},
    ["take: name has a NUL"] = {name = "a\0"},
    ["take: seconds must be a number, not string"] = {seconds = "1"},
    ["take: seconds must be at least 0, not -1"] = {seconds = -1},
    ["take: seconds must be at least 0, not "] = {seconds = 0 / 0},
    ["take: on must be a boolean, not number"] = {on = 1},
    ["take: count must be an integer, not string"] = {count = "1"},
    ["take: count must be from 1 to 9, not 10"] = {count = 10},
    ["take: count must be from 1 to 9, not 1.5"] = {count = 1.5},
  }
  for complaint, options in pairs(wrong) do
    expect_error(complaint, take, options)
  end
end)

test("a mistake has the line of the script, from a coroutine too", function()
  local _, e = pcall(function() arguments.misuse("a", "is wrong") end)
  assert(e:find "^tests/stdlib/arguments/arguments%.lua:42: a: is wrong$", e)
  local co = coroutine.create(arguments.misuse)
  _, e = coroutine.resume(co, "a", "b")
  assert(e:find "^tests/stdlib/arguments/arguments%.lua:45: a: b$", e)
end)

test("a NUL does not end the message", function()
  expect_error("take: unknown option 'a\0b'", function()
    arguments.options("take", {["a\0b"] = 1}, {})
  end)
end)
