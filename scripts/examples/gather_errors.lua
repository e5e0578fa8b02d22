--[[
What gather does when one of several fails. By itself it cancels the others,
waits for their clean-up and raises the first failure. With return_exceptions
every failure stands in its place as an Error, and nothing is raised.
]]

local async function job(name, seconds, fails)
  local _ <close> = asyncio.defer(function() print(name .. " leaves") end)
  await asyncio.sleep(seconds)
  if fails then error(asyncio.Error.new(name .. " failed")) end
  return name .. " is well"
end

local ok, err = pcall(await, asyncio.gather(
  job("a", 10), job("b", 0.01, true), job("c", 10)))
print(ok, err.message)

--> b leaves
--> a leaves
--> c leaves
--> false	b failed

local results = await asyncio.gather({
  job("d", 0.03), job("e", 0.01, true), job("f", 0.02),
}, {return_exceptions = true})

for i = 1, results.n do
  local result = results[i]
  if asyncio.iserror(result) then
    print("error: " .. result.message)
  else
    print("value: " .. result)
  end
end

--> e leaves
--> f leaves
--> d leaves
--> value: d is well
--> error: e failed
--> value: f is well
