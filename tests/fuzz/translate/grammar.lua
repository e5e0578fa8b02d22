local a <const>, b <close>, c = 1, nil, ...
local function f(x, ...) return x, ... end
function M.a.b:c() self = nil end
do local t = {1, 2; x = 3, ["y"] = [==[
]]]==], f(), ...} end
for i = 1, 10, 2 do if i > 5 then break elseif not i then goto on else end
  ::on:: end
for k, v in pairs(t) do repeat local x = #t - ~1 until x ~= 3 // 2 end
while a and b or c do z = -b ^ 2 .. 'x\z
   \x41\u{48}\065\
' end; (f or g){...}:m"s"[1].x = 0x.8p-1 + .5e+3 - 3. * 7 % 2 & 1 | 2 << 3 >> 1
a.b, c[d] = a <= b, c >= d -- comment
return f 'x', function(...) end --[=[ long
]=]
