-- A file of tests that ends in the middle.

test("passes", function() end)
test("ends the process", function() os.exit(7) end)
test("comes too late", function() end)
