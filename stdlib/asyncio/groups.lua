-- groups.lua - asyncio.TaskGroup: tasks that end before their scope does.
--
-- The behaviour is that of CPython's TaskGroup; `limit` and `cancel` are
-- neap's. Errors of the tasks come as one ExceptionGroup. The machine keeps
-- the list of tasks and cancels them at the first failure.

local asyncio = asyncio
local typename = asyncio._typename
local create_task, Future = asyncio.create_task, asyncio.Future
local attempt, discard = asyncio._attempt, asyncio._discard
local take = asyncio._take
local add, cancel, state = asyncio._group_add, asyncio._group_cancel,
  asyncio._group_state

local TaskGroup = {__name = "TaskGroup"}
TaskGroup.__index = TaskGroup

--- asyncio.TaskGroup([{limit = nil}]) -> group
--
-- A scope, for `<close>`, whose end waits for all the tasks made in it.
--
-- When a task fails, the others are cancelled, and so is the body if it is
-- still running; no task can be added any more. When all have ended, the scope
-- raises an ExceptionGroup with every failure in `e.errors`, that of the body
-- included (cancellations are none). An error of the body itself cancels the
-- tasks and comes out in such a group too. If the task that holds the group is
-- cancelled, so are its tasks, and the cancellation goes on, unless there are
-- failures.
--
-- *The surprise:* without `<close>` nobody waits, and no failure is seen.
--
-- `limit` caps how many run at once; the others start as places become free,
-- in order. After a failure none of them starts.
--
-- ```lua
-- local async function visit(n)
--   await asyncio.sleep(0.01 * n)
--   if n == 2 then error(asyncio.Error.new "two is closed") end
-- end
--
-- local ok, err = pcall(function()
--   local tg <close> = asyncio.TaskGroup()
--   for n = 1, 9 do tg:create_task(visit(n)) end
-- end)
-- print(err.name, #err.errors, err.errors[1].message)
-- --> ExceptionGroup	1	two is closed
-- ```
local function new(options)
  options = asyncio._check_options(options, {limit = "number"},
                                   "TaskGroup")
  local limit = options.limit
  if limit and (limit < 1 or limit % 1 ~= 0 and limit < math.huge) then
    asyncio._misuse("option 'limit' of TaskGroup must be at least 1, " ..
                    "and whole")
  end
  local errors = {traces = {}}
  return setmetatable({
    core = asyncio._group(errors), errors = errors,
    parent = asyncio.current_task(), limit = limit,
  }, TaskGroup)
end

-- == A limit ============================================================

-- Lets the next task that waits for its turn go on; after a failure none.
local function next_turn(self)
  self.running = self.running - 1
  if self.failed then return end
  local turns = self.turns
  while turns.first <= turns.last do
    local turn = turns[turns.first]
    turns[turns.first] = nil
    turns.first = turns.first + 1
    if not turn:done() then
      self.running = self.running + 1
      turn:set_result()
      return
    end
  end
end

-- Runs x when fewer than `limit` others run.
local async function limited(self, x)
  if self.running < self.limit then
    self.running = self.running + 1
  else
    local turn, turns = Future(), self.turns
    turns[turns.last + 1] = turn -- which may fail for want of memory
    turns.last = turns.last + 1
    local ok, e = attempt(turn)
    if not ok then
      if turn:done() and not turn:cancelled() then next_turn(self) end
      error(e, 0)
    end
  end
  self.unstarted[x] = nil
  local _ <close> = asyncio.defer(function(e)
    if e ~= nil and not asyncio.iserror(e, asyncio.CancelledError) then
      self.failed = true
    end
    next_turn(self)
  end)
  return await x
end

-- What to run for x under the limit. create_task would complain too late: x
-- is not its argument.
local function in_turn(self, x, options)
  asyncio._check_awaitable(x, "create_task")
  asyncio._check_options(options, {name = "string"}, "create_task")
  x = take(x)
  if not self.turns then
    self.running, self.turns, self.unstarted = 0, {first = 1, last = 0}, {}
  end
  self.unstarted[x] = true
  return limited(self, x)
end

-- == Tasks ==============================================================

--- group:create_task(x [, {name = nil}]) -> Task
--
-- Like `asyncio.create_task`. *Raises* when the group has ended, or is being
-- cancelled because of a failure.
function TaskGroup:create_task(x, options)
  if getmetatable(self) ~= TaskGroup then
    asyncio._misuse(("calling 'create_task' on bad self (a %s value): did " ..
      "you write '.' for ':'?"):format(typename(self)))
  end
  local core = self.core
  local count, aborting = state(core)
  if aborting or self.exiting and count == 0 then
    discard(x)
    asyncio._misuse("the TaskGroup " ..
      (aborting and "is being cancelled" or "has ended"))
  end
  local task = create_task(self.limit and in_turn(self, x, options) or x,
                           options)
  add(core, task)
  return task
end

--- group:cancel()
--
-- Cancels the group's tasks. Nothing is raised for it, and the body goes on.
function TaskGroup:cancel()
  cancel(self.core, false)
end

-- == The end of the scope ===============================================

-- Waits till no task is left; gives the parent's cancellation, if any.
local function wait_for_all(self)
  local core, cancelled = self.core, nil
  local count, aborting = state(core)
  while count > 0 do
    local ok, e = attempt(core)
    count, aborting = state(core, true)
    if not ok and not aborting then
      cancelled = e
      cancel(core, true)
    end
  end
  for x in pairs(self.unstarted or {}) do discard(x) end
  return cancelled
end

-- When an error has ended the body, nothing of that is on the stack any more:
-- the group's place is that of the error.
local function take_place(group, e)
  local where = asyncio.iserror(e) and e.where
    or type(e) == "string" and e:match "^([^\n]-:%d+): "
  if type(where) ~= "string" then return end
  group.where = where
  group.traceback = "stack traceback:\n\t" .. where ..
    ": in the body of the TaskGroup"
end

local function close(self, e)
  local is_cancel = e ~= nil and asyncio.iserror(e, asyncio.CancelledError)
  local count, aborting = state(self.core)
  self.exiting = true
  if e ~= nil and not aborting then cancel(self.core, true) end
  local cancelled = wait_for_all(self) or is_cancel and e or nil
  local _, _, parent_cancelled = state(self.core)
  if parent_cancelled and self.parent:uncancel() == 0 then
    cancelled = nil
  end
  local errors = self.errors
  errors.group = nil
  if cancelled ~= nil and #errors == 0 then error(cancelled, 0) end
  if e ~= nil and not is_cancel then errors[#errors + 1] = e end
  if #errors == 0 then
    -- What has failed could not be kept.
    if is_cancel and parent_cancelled then error("not enough memory", 0) end
    return
  end
  if self.parent:cancelling() > 0 then
    self.parent:uncancel()
    self.parent:cancel()
  end
  local traces = errors.traces
  errors.traces = nil
  local group = asyncio.ExceptionGroup.new(
    ("%d error%s in a TaskGroup"):format(#errors,
                                         #errors == 1 and "" or "s"))
  group.errors, group.traces = errors, traces
  take_place(group, e)
  error(group, 0)
end

function TaskGroup:__close(e)
  if self.closed then
    if e ~= nil then return end
    asyncio._misuse("a TaskGroup can be used only once")
  end
  self.closed = true
  local function end_scope(why) return close(self, why) end
  if not asyncio._postpone(end_scope, e) then close(self, e) end
end

function TaskGroup:__tostring()
  return ("TaskGroup (%d to go)"):format((state(self.core)))
end

function TaskGroup:__gc()
  if not self.closed then
    asyncio._warn("a TaskGroup was never left: write local tg <close> = " ..
                  "asyncio.TaskGroup()")
  end
end

return {TaskGroup = new}
