-- asyncio.run from the main chunk: T29 and what belongs to it.

local Boom = asyncio.Error:extend "Boom"

local async function left()
  local _ <close> = asyncio.defer(function()
    await asyncio.sleep(0)
    print "left cleaned"
  end)
  await asyncio.sleep(100)
end

-- T29: the main coroutine raises while a task is left sleeping
local async function main()
  asyncio.create_task(left())
  await asyncio.sleep(0)
  error(Boom.new "m")
end
local ok, err = pcall(asyncio.run, main())
print(ok, err.name, err.message)
--> left cleaned
--> false Boom m

-- it gives all values, and may be called again
print(asyncio.run((async function() return 1, nil, 3 end)()))  --> 1 nil 3
print(asyncio.run((async function()
  asyncio.create_task(left())
  await asyncio.sleep(0)
  return "done"
end)()))
--> left cleaned
--> done

-- T31: inside a task it is an error
asyncio.run((async function()
  local c = left()
  local inside = asyncio.create_task((async function()
    return pcall(asyncio.run, c)
  end)())
  print((await inside))
  pcall(function() await asyncio.wait_for(c, 0) end)
end)())
--> false

-- the main chunk's own task is not cancelled
await asyncio.sleep(0)
print(#asyncio.all_tasks())  --> 1
