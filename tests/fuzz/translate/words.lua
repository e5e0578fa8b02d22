local async function f(a, ...) return await a, await g(...) end
async function M.s:m() await self.q:get{await x} await t end
local await, async = async, await; await(f) async "s" await = {await = 1}
x = async function() await await a.b[1]:c 's' end
(g or h)(await q:get(), await q:put [[s]], await f(1)(2).x)
for i = await a, await b do goto await ::await:: await --[[c]] f --c
  : g () end
return await async function() end
