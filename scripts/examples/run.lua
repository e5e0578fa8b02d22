--[[
The form that Python's programs have: an async main, given to asyncio.run.
The main chunk can await by itself, so neap needs it only to have the tasks
that main leaves behind cancelled as soon as it ends.
]]

local async function background()
  local _ <close> = asyncio.defer(function() print "background ends" end)
  await asyncio.sleep(3600)
end

local async function main(name)
  asyncio.create_task(background())
  await asyncio.sleep(0.01)
  print("hello " .. name)
  return "main is done", 1
end

print(asyncio.run(main "Ann"))

--> hello Ann
--> background ends
--> main is done	1

-- More than once is well; inside another task it is an error.
print(asyncio.run(asyncio.sleep(0.01, "again")))  --> again

local async function nested()
  local ok, message = pcall(asyncio.run, background)
  return ok
end
print(await asyncio.create_task(nested()))        --> false
