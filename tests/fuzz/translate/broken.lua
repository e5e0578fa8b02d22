local __call <const> = await f(await x:y( -- 
async function a.b:c(x) await f() = 1 (async function() end "s") + local async function