--[[
A program that ends in order when it is told to: the signal sets an event,
the work is cancelled, its clean-up runs. The signal comes from ourselves
here, by way of a shell whose parent we are.
]]

local loop = asyncio.get_running_loop()
local stop = asyncio.Event()

loop:add_signal_handler("SIGTERM", function()
  print "asked to stop"
  stop:set()
end)

local async function serve()
  local _ <close> = asyncio.defer(function()
    await asyncio.sleep(0.005)
    print "connections closed"
  end)
  print "serving"
  await asyncio.sleep(3600)
end

do
  local tg <close> = asyncio.TaskGroup()
  tg:create_task(serve())
  loop:call_later(0.02, os.execute, "kill -TERM $PPID")
  await stop:wait()
  tg:cancel()
end
loop:remove_signal_handler "SIGTERM"
print "good night"

--> serving
--> asked to stop
--> connections closed
--> good night
