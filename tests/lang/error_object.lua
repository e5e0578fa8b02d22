-- Any value may be raised; neap's own errors are objects with a class.

local Error = asyncio.Error
local MyError = Error:extend "MyError"
local Other = MyError:extend "Other"

local function raised(f, ...) return select(2, pcall(f, ...)) end

local e = raised(function() error(MyError.new("broke", {code = "EBROKE"})) end)
print(tostring(e))  --> tests/lang/error_object.lua:9: broke
print(e.name, e.message, e.code)  --> MyError broke EBROKE
local iserror = asyncio.iserror
print(iserror(e), iserror(e, MyError), iserror(e, Error))
--> true true true
print(asyncio.iserror(e, Other), asyncio.iserror(e, asyncio.OSError))
--> false false
print(asyncio.iserror("text"), asyncio.iserror(nil), asyncio.iserror({}))
--> false false false
print(asyncio.iserror(Other.new "x", MyError))  --> true

local cause = MyError.new "why"
e = Other.new("what", {cause = cause})
print(e.cause == cause, e.message, e.name)  --> true what Other

-- through tasks, the value stays itself
local value = {}
local async function throw(v) error(v, 0) end
print(raised(function() await throw(value) end) == value)  --> true
local task = asyncio.create_task(throw(value))
print(raised(function() await task end) == value)  --> true
print(raised(function() await throw("plain") end))  --> plain
print(raised(function() await throw(e) end) == e)  --> true

-- the traceback is a text that names the lines
task = asyncio.create_task((async function() error(MyError.new "traced") end)())
e = raised(function() await task end)
print(type(e.traceback), e.traceback:match "error_object.lua:35" ~= nil)
--> string true

-- the hierarchy
for _, name in ipairs {"CancelledError", "TimeoutError", "InvalidStateError",
    "QueueEmpty", "QueueFull", "QueueShutDown", "BrokenBarrierError",
    "ExceptionGroup", "OSError"} do
  local object = asyncio[name].new "x"
  if not asyncio.iserror(object, Error) or object.name ~= name then
    print("wrong", name)
  end
end
