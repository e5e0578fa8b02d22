/*
 * nomem.c - memory runs out at every place where it can: in tasks and all that
 * asyncio has. See nomem.h; nomem_io.c does the same with sockets and files.
 */
#define _GNU_SOURCE
#define USUAL_STEP 13
#include "nomem.h"

static const char *const scripts[] = {
    /* tasks, values, errors */
    "local async function add(a, b)\n"
    "  await asyncio.sleep(0) return a + b, b\n"
    "end\n"
    "local t = asyncio.create_task(add(1, 2), {name = 'adder'})\n"
    "local u = asyncio.create_task(add(3, 4))\n"
    "local a, b = await t\n"
    "assert(a == 3 and b == 2 and await u == 7)\n"
    "assert(await add(5, 6) == 11)\n"
    "local async function fail() await asyncio.sleep(0) error('bad') end\n"
    "local ok, e = pcall(await, asyncio.create_task(fail()))\n"
    "assert(not ok)\n"
    "if not tostring(e):find 'bad' then error(e, 0) end\n"
    "local async function many(...) await asyncio.sleep(0) return ... end\n"
    "assert(select('#', await asyncio.create_task(\n"
    "  many(table.unpack({}, 1, 100)))) == 100)\n"
    "return 'done'\n",

    /* gather: values, a failure, errors as values, futures, the same twice */
    "local async function id(x) await asyncio.sleep(0) return x end\n"
    "local async function fail(x) await asyncio.sleep(0) error(x) end\n"
    "local list = {}\n"
    "for i = 1, 20 do list[i] = id(i) end\n"
    "local got = await asyncio.gather(list)\n"
    "for i = 1, 20 do if got[i] ~= i then error(got[i] or 'hole', 0) end end\n"
    "local ok, e = pcall(await, asyncio.gather(id(1), fail('bad'), id(3)))\n"
    "if not tostring(e):find 'bad' then error(e, 0) end\n"
    "got = await asyncio.gather({id(1), fail('bad'), id(3)},\n"
    "  {return_exceptions = true})\n"
    "if got[1] ~= 1 then error(got[1] or 'hole', 0) end\n"
    "if not tostring(got[2]):find 'bad' then error(got[2] or 'hole', 0) end\n"
    "local f, t = asyncio.Future(), asyncio.create_task(id(7))\n"
    "local async function set() f:set_result(5) end\n"
    "local c = id(9)\n"
    "local a, b, x, y, z = await asyncio.gather(f, t, f, c, c, set())\n"
    "if not (a == 5 and b == 7 and x == 5 and y == 9 and z == 9) then\n"
    "  error('wrong: ' .. tostring(a) .. tostring(b) .. tostring(x) ..\n"
    "    tostring(y) .. tostring(z), 0) end\n"
    "return 'done'\n",

    /* time limits, clean-up that awaits, cancellation */
    "local log = {}\n"
    "local async function slow()\n"
    "  local _ <close> = asyncio.defer(async function()\n"
    "    await asyncio.sleep(0) log[#log + 1] = 'cleaned' end)\n"
    "  await asyncio.sleep(1000)\n"
    "end\n"
    "local ok, e = pcall(function()\n"
    "  await asyncio.wait_for(slow(), 0.001)\n"
    "end)\n"
    "if not asyncio.iserror(e, asyncio.TimeoutError) then error(e, 0) end\n"
    "ok, e = pcall(function()\n"
    "  local _ <close> = asyncio.timeout(0) await slow() end)\n"
    "if not asyncio.iserror(e, asyncio.TimeoutError) then error(e, 0) end\n"
    "do local _ <close> = asyncio.timeout(100) await asyncio.sleep(0) end\n"
    "local t = asyncio.create_task(slow())\n"
    "await asyncio.sleep(0)\n"
    "t:cancel 'enough'\n"
    "ok, e = asyncio.catch(await, t)\n"
    "if not asyncio.iserror(e, asyncio.CancelledError) then error(e, 0) end\n"
    "if #log ~= 3 then error('not enough memory?' .. #log, 0) end\n"
    "return 'done'\n",

    /* groups, of which one fails; a limit */
    "local async function work(i) await asyncio.sleep(0)\n"
    "  if i == 4 then error 'four' end return i end\n"
    "local function group_ended(ok, e)\n"
    "  if ok then return end\n"
    "  if not asyncio.iserror(e, asyncio.ExceptionGroup) then error(e, 0) end\n"
    "  for _, x in ipairs(e.errors) do\n"
    "    if not tostring(x):find 'four' then error(x, 0) end end\n"
    "end\n"
    "group_ended(pcall(function() local g <close> = asyncio.TaskGroup()\n"
    "  for i = 1, 3 do g:create_task(work(i)) end end))\n"
    "group_ended(pcall(function()\n"
    "  local g <close> = asyncio.TaskGroup{limit = 2}\n"
    "  for i = 5, 9 do g:create_task(work(i)) end end))\n"
    "local ok, e = pcall(function()\n"
    "  local g <close> = asyncio.TaskGroup()\n"
    "  for i = 1, 6 do g:create_task(work(i)) end end)\n"
    "group_ended(ok, e)\n"
    "return 'done'\n",

    /* queues, locks, semaphores, events, conditions */
    "local q, sum = asyncio.Queue(2), 0\n"
    "local async function produce() for i = 1, 8 do await q:put(i) end end\n"
    "local async function consume() for i = 1, 8 do\n"
    "  sum = sum + await q:get() end end\n"
    "await asyncio.gather(produce(), consume())\n"
    "assert(sum == 36)\n"
    "local getter = asyncio.create_task(q:get())\n"
    "await asyncio.sleep(0)\n"
    "getter:cancel()\n"
    "local ok, e = asyncio.catch(await, getter)\n"
    "if not asyncio.iserror(e, asyncio.CancelledError) then error(e, 0) end\n"
    "local s, inside = asyncio.Semaphore(2), 0\n"
    "local async function enter() await s:acquire()\n"
    "  inside = inside + 1 await asyncio.sleep(0) s:release() end\n"
    "await asyncio.gather(enter(), enter(), enter())\n"
    "local ev = asyncio.Event()\n"
    "local w = asyncio.create_task(ev:wait())\n"
    "await asyncio.sleep(0) ev:set() await w\n"
    "return inside == 3 and 'done'\n",

    /* awaits in generators, iterators, metamethods; loading */
    "local gen = coroutine.wrap(function()\n"
    "  for i = 1, 3 do await asyncio.sleep(0) coroutine.yield(i) end end)\n"
    "local sum = 0\n"
    "for i in gen do sum = sum + i end\n"
    "assert(sum == 6)\n"
    "local m = setmetatable({}, {__index = function(_, k)\n"
    "  await asyncio.sleep(0) return k .. '!' end})\n"
    "assert(m.a == 'a!')\n"
    "local f, why = load('local x <const> = await asyncio.sleep(0, 4) '\n"
    "  .. 'return x, async function(y) return y end')\n"
    "if not f then error(why, 0) end\n"
    "local x, g = f()\n"
    "assert(x == 4 and await g(3) == 3)\n"
    "f, why = load 'return await)'\n"
    "if not why:find 'near' then error(why, 0) end\n"
    "assert(dofile(FILE) == 5)\n"
    "f, why = loadfile(FILE)\n"
    "if not f then error(why, 0) end\n"
    "return f() == 5 and 'done'\n",

    /* callbacks, futures, context variables, shield, wait, as_completed */
    "local n = 0\n"
    "local loop = asyncio.get_running_loop()\n"
    "loop:call_soon(function(a) n = n + a end, 1)\n"
    "loop:call_later(0.001, function(a) n = n + a end, 2)\n"
    "loop:call_later(100, print):cancel()\n"
    "local f = asyncio.Future()\n"
    "f:add_done_callback(function(g) n = n + g:result() end)\n"
    "f:set_result(4)\n"
    "await asyncio.sleep(0.002)\n"
    "if n ~= 7 then error('not enough memory? ' .. n, 0) end\n"
    "local async function id(x) await asyncio.sleep(0) return x end\n"
    "assert(await asyncio.shield(id(3)) == 3)\n"
    "local a, b = asyncio.create_task(id(1)), asyncio.create_task(id(2))\n"
    "local done, pending = await asyncio.wait({a, b})\n"
    "for _, t in ipairs(done) do n = n + t:result() end\n"
    "for t in asyncio.as_completed{id(1), id(2), id(3)} do\n"
    "  n = n + await t end\n"
    "assert(n == 16, 'count')\n"
    "local v = asyncio.ContextVar('v', 0)\n"
    "v:set(1)\n"
    "local async function see() v:set(v:get() + 1) return v:get() end\n"
    "assert(await asyncio.create_task(see()) == 2 and v:get() == 1)\n"
    "return 'done'\n",
};

int main(void) {
  return nomem_run(scripts, sizeof scripts / sizeof *scripts, 1);
}
