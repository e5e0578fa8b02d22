-- debug.getmetatable and debug.setmetatable give scripts the metamethods of
-- everything, to be called with anything, and objects a wrong metatable. None
-- of that may crash.

local net = require "neap.net"

local strangers = {5, "x", {}, print, io.stdout, coroutine.create(print)}

local function call_all(object, pair)
  for _, metamethod in pairs(debug.getmetatable(object)) do
    if type(metamethod) == "function" then
      pcall(metamethod)
      for _, stranger in ipairs(strangers) do
        pcall(metamethod, stranger)
        pcall(metamethod, stranger, pair)
      end
    end
  end
end

test("metamethods refuse strangers", async function()
  local a <close>, b = net.pair()
  local _ <close> = b
  local scope <close> = asyncio.timeout(60)
  local coroutine_object = asyncio.sleep(0)
  local handle = asyncio.get_running_loop():call_later(60, print)
  for _, object in ipairs{a, scope, coroutine_object, handle, net.buffer(5),
                          asyncio.Future(), asyncio.current_task()} do
    call_all(object, 1)
    call_all(object, b)
  end
  handle:cancel()
  await coroutine_object
  await a:write("still works")
  assert(await b:read() == "still works")
end)

test("what has the metatable of a stream is none", async function()
  local a <close>, b = net.pair()
  b:close()
  local metatable = debug.getmetatable(a)
  local file <close> = io.tmpfile()
  local own = debug.getmetatable(file)
  debug.setmetatable(file, metatable)
  local ok, message = pcall(file.peername, file)
  debug.setmetatable(file, own)
  assert(not ok and tostring(message):find("Stream expected", 1, true),
         message)
end)
