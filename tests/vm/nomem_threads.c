/*
 * nomem_threads.c - memory runs out in tokens, jobs, calls, submissions and
 * events. See nomem.h.
 */
#define _GNU_SOURCE
#define USUAL_STEP 1
#include <uv.h>

#include "nomem.h"

/* == Tokens ============================================================ */

static void resolve_later(lua_State *L, void *token) {
  neap_Value values[2];
  (void)L;
  values[0] = neap_string("later");
  values[1] = neap_integer(2);
  (void)neap_token_resolve(token, values, 2);
}

/* ask(): a token that a submitted callback gives back */
static int ask(lua_State *L) {
  neap_Token *token = neap_token_new(L, NULL, NULL);
  int err = neap_submit(neap_vm(L), resolve_later, token);
  if (err < 0) (void)neap_token_reject(token, err, "ask");
  return neap_token_await(L, token);
}

/* refuse(): one that is rejected before the task waits */
static int refuse(lua_State *L) {
  neap_Token *token = neap_token_new(L, NULL, NULL);
  (void)neap_token_reject(token, 0, "no");
  return neap_token_await(L, token);
}

/* == Jobs ============================================================== */

typedef struct Job {
  char *text;
} Job;

static void job_run(void *data) {
  Job *job = data;
  job->text = malloc(5);
  if (job->text != NULL) memcpy(job->text, "work", 5);
}

static int job_done(lua_State *L, void *data) {
  Job *job = data;
  if (job->text == NULL) return luaL_error(L, "not enough memory");
  lua_pushstring(L, job->text);
  return 1;
}

static void job_release(void *data) { free(((Job *)data)->text); }

static const neap_Work job_work = {"a job", job_run, job_done, NULL,
                                   job_release};

static int work(lua_State *L) {
  return neap_work_await(L, neap_work_new(L, sizeof(Job), &job_work));
}

/* == Calls ============================================================= */

static int call_gc(lua_State *L) {
  neap_Call **box = lua_touserdata(L, 1);
  neap_call_free(*box);
  *box = NULL;
  return 0;
}

/* call(name, value) -> call */
static int call(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  neap_Value value = neap_string(luaL_checkstring(L, 2));
  neap_Call **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, call_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  *box = neap_call_start(neap_vm(L), name, &value, 1);
  return *box != NULL ? 1 : luaL_error(L, "not enough memory");
}

/* result(call) -> value, nil if it has not ended */
static int result(lua_State *L) {
  neap_Call *c = *(neap_Call **)lua_touserdata(L, 1);
  int n, status = neap_call_wait(c, 0);
  const neap_Value *values = neap_call_values(c, &n);
  if (status == UV_EBUSY) return 0;
  if (status != LUA_OK) return luaL_error(L, "%s", neap_call_error(c));
  lua_pushlstring(L, values[0].as.string, values[0].length);
  return 1;
}

/* == Events ============================================================ */

/* events() -> a queue with two events, which C has let go of */
static int events(lua_State *L) {
  neap_Events *q = neap_events_new(L, 0);
  neap_Value values[2];
  int err;
  values[0] = neap_string("event");
  values[1] = neap_integer(1);
  err = neap_events_push(q, values, 2);
  if (err == 0) err = neap_events_push(q, values, 1);
  neap_events_free(q);
  return err == 0 ? 1 : luaL_error(L, "not enough memory");
}

static int setup(lua_State *L) {
  static const neap_Async async[] = {
      {"ask", ask}, {"refuse", refuse}, {"work", work}, {NULL, NULL}};
  lua_pushglobaltable(L);
  neap_setasync(L, async);
  lua_register(L, "call", call);
  lua_register(L, "result", result);
  lua_register(L, "events", events);
  return 0;
}

static const char *const scripts[] = {
    "local a, b = await ask()\n"
    "assert(a == 'later' and b == 2)\n"
    "local ok, e = pcall(await, refuse())\n"
    "if e.message ~= 'no' then error(e, 0) end\n"
    "local t = asyncio.create_task(ask())\n"
    "await asyncio.sleep(0)\n"
    "t:cancel()\n"
    "ok, e = asyncio.catch(await, t)\n"
    "if not asyncio.iserror(e, asyncio.CancelledError) then error(e, 0) end\n"
    "a, b = await asyncio.gather(ask(), ask())\n"
    "return 'done'\n",

    "assert(await work() == 'work')\n"
    "local a, b = await asyncio.gather(work(), work())\n"
    "assert(a == 'work' and b == 'work')\n"
    "local t = asyncio.create_task(work())\n"
    "await asyncio.sleep(0)\n"
    "t:cancel()\n"
    "local ok, e = asyncio.catch(await, t)\n"
    "if not asyncio.iserror(e, asyncio.CancelledError) and not ok then\n"
    "  error(e, 0) end\n"
    "return 'done'\n",

    "async function twice(x) await asyncio.sleep(0) return x .. x end\n"
    "function fail() error 'bad' end\n"
    "local function finish(c)\n"
    "  while true do\n"
    "    local value = result(c)\n"
    "    if value then return value end\n"
    "    await asyncio.sleep(0)\n"
    "  end\n"
    "end\n"
    "assert(finish(call('twice', 'a')) == 'aa')\n"
    "local ok, e = pcall(finish, call('fail', 'a'))\n"
    "if not e:find 'bad' then error(e, 0) end\n"
    "return 'done'\n",

    "local sum = 0\n"
    "for name, n in events():items() do\n"
    "  assert(name == 'event') sum = sum + (n or 10) end\n"
    "assert(sum == 11)\n"
    "local q = events()\n"
    "assert(await q:get() == 'event' and await q:get() == 'event')\n"
    "local ok, e = pcall(await, q:get())\n"
    "if not asyncio.iserror(e, asyncio.QueueShutDown) then error(e, 0) end\n"
    "q:close()\n"
    "return 'done'\n",
};

int main(void) {
  nomem_setup = setup;
  return nomem_run(scripts, sizeof scripts / sizeof *scripts, 0);
}
