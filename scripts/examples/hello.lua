--[[
The shortest program: the main chunk is a task already, so `await` works at
the top level and nothing has to be started.
]]

print "hello"  --> hello
await asyncio.sleep(0.01)
print "world"  --> world
