--[[
Pitfall: forgetting await. Calling an async function runs nothing; it makes a
coroutine object. Using that as if it were the result is an error that asks
about the await; throwing it away is reported, with the line that made it.
]]

local async function price(item)
  await asyncio.sleep(0.001)
  return {amount = #item}
end

local ok, err = pcall(function()
  local p = price "tea"  -- should be: await price "tea"
  return p.amount
end)
print(ok)                                            --> false
print(err:match "did you forget await%?")            --> did you forget await?

print((tostring(price "milk"):gsub(" %(.*", "")))    --> coroutine object price

price "coffee"  -- runs nothing
collectgarbage()

print((await price "coffee").amount)                 --> 6

--!> pitfall_forgotten_await.lua:21) was never awaited
