-- Other programs.

local process = require 'neap.process'
local result = await process.run({'cat'}, {input = 'hello'})
if result.stdout ~= 'hello' then error 'not enough memory?' end
local child <close> = process.spawn({'cat'},
  {stdin = 'pipe', stdout = 'pipe'})
await child.stdin:write('x\n')
assert(await child.stdout:read_line() == 'x')
child.stdin:close()
return await child:wait() == 0 and 'done'
