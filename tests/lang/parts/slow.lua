-- A module that awaits while it is required, twice over.
await asyncio.sleep(0.001)
local inner = require "tests.lang.parts.inner"
return {name = "slow", inner = inner, args = {...}}
