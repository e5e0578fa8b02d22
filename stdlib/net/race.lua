--[[
race.lua - connecting to a name: the order of RFC 8305 ("happy eyeballs").

Both families are asked for at once. The addresses that have come take turns,
IPv6 first; the next one is tried when one has failed, or has not answered for
a while. Who is connected first wins. This file knows no sockets: it is given
what looks up and what tries.
]]

local asyncio = require "neap.asyncio"

local DELAYS <const> = {
  resolution = 0.05, -- seconds that IPv4 addresses wait for the others
  attempt = 0.25,    -- seconds until the next is tried as well
}

local Race = {}
Race.__index = Race

-- What is not the network's failure ends all of it.
function Race:failed(err)
  if not asyncio.iserror(err) then self.broken = err end
end

-- Looks up the addresses of a family; a failure is one only if the other
-- family has no address either.
async function Race:look_up(family)
  local ok, found = pcall(function() return await self.resolve(family) end)
  if ok then
    self.addresses[family] = found
    self.came = self.came or self.loop:time()
  else
    self:failed(found)
    if not self.unknown or self.unknown.code == "EAI_NODATA" then
      self.unknown = found
    end
  end
  self.asked[family] = nil
  self.changed:set()
end

async function Race:try(address)
  local ok, result = pcall(function() return await self.attempt(address) end)
  self.running = self.running - 1
  if not ok then
    self:failed(result)
    self.failure, self.next_at = result, 0
  elseif self.winner then
    result:close()
  else
    self.winner = result
  end
  self.changed:set()
end

-- The family whose turn it is; nil if there is no address just now.
function Race:turn()
  local other = self.last == 6 and 4 or 6
  for _, family in ipairs {other, 10 - other} do
    if #self.addresses[family] > 0 then return family end
  end
end

-- When an address of this family may be tried.
function Race:time_for(family)
  if not self.last and family == 4 and self.asked[6] then
    return self.came + self.delays.resolution
  end
  return self.running > 0 and self.next_at or 0
end

function Race:start(family)
  local address = table.remove(self.addresses[family], 1)
  self.group:create_task(self:try(address))
  self.last = family
  self.running = self.running + 1
  self.next_at = self.loop:time() + self.delays.attempt
end

-- Waits until something has happened, at most to the time `at`.
function Race:wait(at)
  local timer = at and self.loop:call_at(at, self.changed.set, self.changed)
  local _ <close> = asyncio.defer(function()
    if timer then timer:cancel() end
  end)
  await self.changed:wait()
end

-- Until somebody has won, or nobody is left.
function Race:run()
  while not self.winner and not self.broken do
    self.changed:clear()
    local family = self:turn()
    local at = family and self:time_for(family)
    if at and at <= self.loop:time() then
      self:start(family)
    elseif family or self.running > 0 or next(self.asked) then
      self:wait(at)
    else
      return
    end
  end
end

-- race(families, resolve, attempt [, delays]) -> what an attempt gave
--
-- `resolve(family)` gives a list of addresses, `attempt(address)` something
-- that can be closed; both are async. `families` is a list of 4 and 6.
return function(families, resolve, attempt, delays)
  local self = setmetatable({
    resolve = resolve, attempt = attempt, delays = delays or DELAYS,
    loop = asyncio.get_running_loop(), changed = asyncio.Event(),
    addresses = {[4] = {}, [6] = {}}, asked = {}, running = 0, next_at = 0,
  }, Race)
  local _ <close> = asyncio.defer(function(e)
    if e ~= nil and self.winner then self.winner:close() end
  end)
  do
    local group <close> = asyncio.TaskGroup()
    self.group = group
    for _, family in ipairs(families) do
      self.asked[family] = true
      group:create_task(self:look_up(family))
    end
    self:run()
    group:cancel()
  end
  if self.winner then return self.winner end
  error(self.broken or self.failure or self.unknown, 0)
end
