-- A module that awaits while it is loaded is loaded once, whoever requires it.

local loads = 0
local gate = asyncio.Event()
package.preload.slow = function()
  loads = loads + 1
  await gate:wait()
  return {number = loads}
end

local async function get(name) return require(name) end
local function spawn(name) return asyncio.create_task(get(name)) end
local function settle() for _ = 1, 10 do await asyncio.sleep(0) end end

local a, b, c = spawn "slow", spawn "slow", spawn "slow"
settle()
b:cancel()
settle()
gate:set()
print(await a == await c, loads, b:cancelled(), require "slow" == await a)
--> true 1 true true

-- one that fails is tried again by who waited
local tries = 0
package.preload.fails = function()
  tries = tries + 1
  local number = tries
  await asyncio.sleep(0)
  if number < 3 then error("try " .. number, 0) end
  return "third"
end
a, b, c = spawn "fails", spawn "fails", spawn "fails"
print(select(2, pcall(await, a)), select(2, pcall(await, b)), (await c))
--> try 1 try 2 third

-- so is one whose task was cancelled
gate:clear()
package.loaded.slow, loads = nil, 0
a, b = spawn "slow", spawn "slow"
settle()
a:cancel()
settle()
gate:set()
print((await b).number, a:cancelled())  --> 2 true

-- modules that require each other in a ring are an error, in one task
local function needs(other)
  return function()
    await asyncio.sleep(0)
    return {require(other)}
  end
end
package.preload.one, package.preload.two = needs "two", needs "one"
print(select(2, pcall(require, "one")):match "module .*")
--> module 'one' is being loaded: modules require each other in a ring

-- and in several
a, b = spawn "one", spawn "two"
await asyncio.wait {a, b}
print(a:exception():match "module .- loaded")  --> module 'one' is being loaded
print(b:exception():match "module .- loaded")  --> module 'one' is being loaded

-- a module that was left half-way, in a generator, is loaded anew
package.preload.left = function()
  await asyncio.sleep(0)
  if not package.loaded.enough then coroutine.yield "half" end
  return "whole"
end
local generator = coroutine.wrap(function() return require "left" end)
print(generator())  --> half
generator, package.loaded.enough = nil, true
collectgarbage()
print((require "left"))  --> whole

-- a plain module may require itself, as in Lua
package.preload.self = function()
  if loads < 5 then
    loads = loads + 1
    return (require "self")
  end
  return loads
end
print((require "self"))  --> 5

-- outside a task nobody can wait
gate:clear()
package.loaded.slow = nil
a = spawn "slow"
settle()
local seen = asyncio.Future()
asyncio.get_running_loop():call_soon(function()
  seen:set_result(select(2, pcall(require, "slow")))
end)
print((await seen):match "await outside a task")  --> await outside a task
gate:set()
await a
