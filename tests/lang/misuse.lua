-- A misuse of the words is a syntax error in Lua's form.

local function refused(source)
  local f, message = load(source, "=x")
  if f then
    print("accepted: " .. source)
  elseif not message:match "^x:%d+: .+ near " then
    print("message: " .. message)
  else
    print(message:match "^x:(%d+):", message:match "near (.*)$")
  end
end

refused "async function 5() end"           --> 1 '5'
refused "async function f( end"            --> 1 'end'
refused "async function f() return 1"      --> 1 <eof>
refused "local async function M.f() end"   --> 1 '.'
refused "local async function M:f() end"   --> 1 ':'
refused "\nasync function f:g:h() end"     --> 2 ':'
refused "local f = async function f() end" --> 1 'f'
refused "await f( )) "                     --> 1 ')'
refused "\n\nlocal x = await f("           --> 3 <eof>
refused "await a.5"                        --> 1 '.5'
refused "await a:b"                        --> 1 <eof>
refused "await a:b + 1"                    --> 1 '+'
refused "local x = await a:"               --> 1 <eof>
refused "await a["                         --> 1 <eof>
refused "await a[1"                        --> 1 <eof>
refused "f(await a b)"                     --> 1 'b'
refused "await f() = 1"                    --> 1 '='
refused "await f()\n  x y"                 --> 2 'y'
refused "async async function f() end"     --> 1 'async'
refused "function f(await x) end"          --> 1 'x'

-- What is awaited, or lacks an await, is told with the line of the script.
local function fails(f)
  local _, message = pcall(f)
  print((message:gsub("^tests/lang/misuse.lua:%d+: ", ""):gsub("%(.*%)", "()")))
end
local async function f() end
fails(function() await f end)
--> attempt to await a function value: call the function
fails(function() await asyncio.sleep end)
--> attempt to await a function value: call the function
