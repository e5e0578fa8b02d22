-- An uncaught error in the main chunk: a message, a traceback, status 1.

local async function inner()
  await asyncio.sleep(0)
  error "deep"
end
local async function outer()
  await inner()
  return 1
end
print "begins"  --> begins
await outer()

--!> neap: tests/lang/uncaught.lua:5: deep
--!> stack traceback:
--!> tests/lang/uncaught.lua:5: in
--!> tests/lang/uncaught.lua:8: in
--!> tests/lang/uncaught.lua:12: in
--status 1
