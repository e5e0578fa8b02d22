#!/usr/bin/env neap
-- A first line that is no Lua does not move the others.
await asyncio.sleep(0)
return debug.getinfo(1, "l").currentline
