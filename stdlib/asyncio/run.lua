-- run.lua - asyncio.run: one awaitable, and then the end of all tasks.

local asyncio = asyncio
local catch, current_task = asyncio.catch, asyncio.current_task
local all_tasks = asyncio.all_tasks
local check_options = asyncio._check_options
local check_awaitable = asyncio._check_awaitable
local ensure_future = asyncio._ensure_future

-- Cancels all tasks but the running one and waits for their ends.
local function end_others()
  local me, others = current_task(), {}
  for _, task in ipairs(all_tasks()) do
    if task ~= me then
      task:cancel()
      others[#others + 1] = task
    end
  end
  for _, task in ipairs(others) do
    local ok, e = catch(await, task)
    if not ok and not task:cancelled() then
      asyncio._report("error while run was ending", e, task)
    end
  end
end

local running = false

--- asyncio.run(x [, {debug = false}]) -> the values of x
--
-- Runs the awaitable `x` and gives its values; then cancels every other task
-- but the caller's and waits for their end. In the main chunk, which is a task
-- already, it is seldom needed; it may be called there any number of times.
-- `debug` turns debug mode on for its duration. *Raises* the error of `x`;
-- calling it in any other task is an error. Where no task runs at all, as in
-- lua5.4 with neap as a module, it runs the loop meanwhile.
--
-- ```lua
-- local async function main()
--   asyncio.create_task(asyncio.sleep(3600))  -- cancelled when main ends
--   return "ready"
-- end
-- print(asyncio.run(main()))  --> ready
-- ```
function asyncio.run(x, options)
  options = check_options(options, {debug = "boolean"}, "run")
  check_awaitable(x, "run")
  if not running and current_task() == nil then
    return asyncio._drive(asyncio.run, x, options)
  end
  if running or not asyncio._is_main() then
    asyncio._misuse("asyncio.run() cannot be called inside a running task")
  end
  local debug = asyncio._get_debug()
  running = true
  if options.debug ~= nil then asyncio._set_debug(options.debug) end
  local task = ensure_future(x)
  local result = table.pack(catch(await, task))
  local ended, e = catch(end_others)
  running = false
  asyncio._set_debug(debug)
  if not result[1] then error(result[2], 0) end
  if not ended then error(e, 0) end
  return table.unpack(result, 2, result.n)
end

return {} -- it is in its place already
