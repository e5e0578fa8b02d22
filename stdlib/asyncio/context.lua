-- context.lua - asyncio.ContextVar: values that belong to a task.
--
-- A context is a table from variable to value that is never changed: set
-- makes a new one. So a task that is spawned inherits its parent's by
-- sharing it. A callback runs in the context of who scheduled it.

local asyncio = asyncio
local task_id, typename = asyncio._task_id, asyncio._typename

local ContextVar = {}
ContextVar.__index = ContextVar
ContextVar.__name = "ContextVar"

local NONE = {} -- "no value", which is not nil
local EMPTY = {}

local function context() return asyncio._context() or EMPTY end

local function with(var, value)
  local copy = {}
  for key, old in pairs(context()) do copy[key] = old end
  if value == NONE then copy[var] = nil else copy[var] = {value} end
  asyncio._set_context(copy)
end

function ContextVar:__tostring()
  return ("ContextVar '%s'"):format(self.name)
end

--- var:get([default]) -> value
--
-- The value here; if there is none, the default given here, or that of the
-- variable. *Raises* if there is neither.
function ContextVar:get(...)
  local box = context()[self]
  if box then return box[1] end
  if select("#", ...) > 0 then return (...) end
  if self.has_default then return self.default end
  asyncio._misuse(("context variable '%s' has no value"):format(self.name))
end

--- var:set(value) -> token
function ContextVar:set(value)
  if not self.name then asyncio._misuse "set needs a ContextVar" end
  local old = context()[self]
  with(self, value)
  local token = {var = self, task = task_id(), used = false}
  if old then token.old = old[1] else token.old = NONE end
  return token
end

--- var:reset(token)
--
-- Puts back what was before that `set`. *Raises* when the token is used twice,
-- or is another variable's or another task's.
function ContextVar:reset(token)
  if type(token) ~= "table" or token.var ~= self then
    asyncio._misuse("the token is of another context variable")
  elseif token.used then
    asyncio._misuse("the token was used already")
  elseif token.task ~= task_id() then
    asyncio._misuse("the token is of another task")
  end
  token.used = true
  with(self, token.old)
end

return {
  --- asyncio.ContextVar(name [, default]) -> var
  --
  -- A variable that each task has for itself. A new task begins with a copy of
  -- what its maker had; so do callbacks of the loop.
  --
  -- ```lua
  -- local user = asyncio.ContextVar("user", "nobody")
  -- local async function child()
  --   local before = user:get()
  --   user:set "child"
  --   return before
  -- end
  --
  -- user:set "parent"
  -- print(await asyncio.create_task(child()))  --> parent
  -- print(user:get())                          --> parent
  -- ```
  ContextVar = function(name, ...)
    if type(name) ~= "string" then
      asyncio._misuse(("ContextVar needs a name, not a %s value")
        :format(typename(name)))
    end
    return setmetatable({name = name, has_default = select("#", ...) > 0,
                         default = (...)}, ContextVar)
  end,
}
