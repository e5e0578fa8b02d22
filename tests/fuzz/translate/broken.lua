local __call <const> = await f(await x:y(
  async function(x) await f(await g()) (async function() end "s") end))
local async function f() await f() = 1 end + 2
async function M.a:b[1]() end await x.
async function 's
