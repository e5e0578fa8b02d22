-- Where C code between cannot be suspended, the error names its function.

local done = asyncio.Future()
done:set_result(true)

local function await_in(f, ...)
  local ok, err = pcall(f, ...)
  return ok or tostring(err)
end

local text = await_in(table.sort, {3, 1, 2}, function(a, b)
  await asyncio.sleep(0)
  return a < b
end)
print(text:match "sort")  --> sort
print(text:match "c_between.lua:12")  --> c_between.lua:12

text = await_in(string.gsub, "abc", "%w", function()
  await asyncio.sleep(0)
end)
print(text:match "gsub")  --> gsub

local _, message = load(function() await asyncio.sleep(0) end)
print(tostring(message):match "load")  --> load

-- what is done already needs no suspension
local list = {3, 1, 2}
table.sort(list, function(a, b)
  await done
  return a < b
end)
print(table.concat(list))  --> 123
local async function upper(s) return s:upper() end
print((("abc"):gsub("%w", function(c) return await upper(c) end)))  --> ABC

-- the task goes on as ever
await asyncio.sleep(0)
print "still here"  --> still here
