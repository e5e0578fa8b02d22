-- groups.lua - asyncio.TaskGroup: tasks that end before their scope does.
--
-- The behaviour is that of CPython's TaskGroup; `limit` and `cancel` are
-- neap's. Errors of the tasks come as one ExceptionGroup.

local asyncio = asyncio
local create_task, catch, Future = asyncio.create_task, asyncio.catch,
  asyncio.Future

local TaskGroup = {}
TaskGroup.__index = TaskGroup
TaskGroup.__name = "TaskGroup"

--- asyncio.TaskGroup({limit=}) -> group, for <close>
--
-- `limit` is how many of its tasks run at once.
local function new(options)
  options = asyncio._check_options(options, {limit = "number"},
                                   "asyncio.TaskGroup")
  local parent = asyncio.current_task()
  if parent == nil then error("a TaskGroup needs a task", 2) end
  if options.limit and options.limit < 1 then
    error("option 'limit' of asyncio.TaskGroup must be at least 1", 2)
  end
  return setmetatable({
    parent = parent, limit = options.limit, running = 0,
    tasks = {}, place = {}, first = 1, last = 0, count = 0,
    errors = {}, queue = {}, queue_first = 1, queue_last = 0,
  }, TaskGroup)
end

-- == Tasks ==============================================================

-- Cancels the tasks in the order of their creation.
local function cancel_tasks(self)
  for i = self.first, self.last do
    local task = self.tasks[i]
    if task and not task:done() then task:cancel() end
  end
end

local function abort(self)
  self.aborting = true
  cancel_tasks(self)
end

local function forget(self, task)
  local i = self.place[task]
  self.place[task] = nil
  self.tasks[i] = nil
  self.count = self.count - 1
  if i == self.first then
    while i <= self.last and self.tasks[i] == nil do i = i + 1 end
    self.first = i
  end
end

local function task_done(self, task)
  forget(self, task)
  if self.count == 0 and self.completed and not self.completed:done() then
    self.completed:set_result()
  end
  if task:cancelled() then return end
  local e = task:exception()
  if e == nil then return end
  self.errors[#self.errors + 1] = e
  if not self.aborting and not self.parent_cancelled then
    abort(self)
    self.parent_cancelled = true
    self.parent:cancel()
  end
end

-- Lets the next task that waits for its turn go on; after a failure none.
local function next_turn(self)
  self.running = self.running - 1
  if self.failed then return end
  while self.queue_first <= self.queue_last do
    local turn = self.queue[self.queue_first]
    self.queue[self.queue_first] = nil
    self.queue_first = self.queue_first + 1
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
    local turn = Future()
    self.queue_last = self.queue_last + 1
    self.queue[self.queue_last] = turn
    local ok, e = catch(await, turn)
    if not ok then
      if turn:done() and not turn:cancelled() then next_turn(self) end
      error(e, 0)
    end
  end
  local _ <close> = asyncio.defer(function(e)
    if e ~= nil and not asyncio.iserror(e, asyncio.CancelledError) then
      self.failed = true
    end
    next_turn(self)
  end)
  return await x
end

--- group:create_task(x, {name=}) -> Task
function TaskGroup:create_task(x, options)
  local refused = self.exiting and self.count == 0 and "has ended" or
    self.aborting and "is being cancelled"
  if refused then
    asyncio._discard(x)
    error("the TaskGroup " .. refused, 2)
  end
  if self.limit and not asyncio.iscoroutine(x) then
    error(("create_task needs a coroutine object, not a %s value")
      :format(type(x)), 2)
  end
  local task = create_task(self.limit and limited(self, x) or x, options)
  self.last = self.last + 1
  self.tasks[self.last] = task
  self.place[task] = self.last
  self.count = self.count + 1
  task:add_done_callback(function(t)
    if self.limit then asyncio._discard(x) end
    task_done(self, t)
  end)
  return task
end

--- group:cancel(): cancels its tasks; raises nothing, the body goes on
function TaskGroup:cancel()
  cancel_tasks(self)
end

-- == The end of the scope ===============================================

local function count_text(n)
  return n == 1 and "1 error" or n .. " errors"
end

function TaskGroup:__close(e)
  local is_cancel = e ~= nil and asyncio.iserror(e, asyncio.CancelledError)
  local cancelled = is_cancel and e or nil
  self.exiting = true
  if e ~= nil and not self.aborting then abort(self) end
  while self.count > 0 do
    self.completed = Future()
    local ok, why = catch(await, self.completed)
    if not ok and not self.aborting then
      cancelled = why
      abort(self)
    end
    self.completed = nil
  end
  if self.parent_cancelled and self.parent:uncancel() == 0 then
    cancelled = nil
  end
  local errors = self.errors
  if cancelled ~= nil and #errors == 0 then error(cancelled, 0) end
  if e ~= nil and not is_cancel then errors[#errors + 1] = e end
  if #errors == 0 then return end
  if self.parent:cancelling() > 0 then
    self.parent:uncancel()
    self.parent:cancel()
  end
  local group = asyncio.ExceptionGroup.new(
    ("%s in a TaskGroup"):format(count_text(#errors)))
  group.errors = errors
  error(group, 0)
end

return {TaskGroup = new}
