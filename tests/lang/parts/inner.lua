-- A module that another one requires.
local async function later(x)
  await asyncio.sleep(0.001)
  return x
end
return await later("inner")
