/*
 * threads.c - jobs on worker threads, what other threads submit and call,
 * and events they send.
 */
#include <pthread.h>

#include "machine.h"

/* == Worker threads ==================================================== */

static struct {
  uv_sem_t begun, go; /* a job that waits says so, and until when */
  int released, cancelled, ran;
} jobs;

typedef struct Job {
  int n, result, wait;
  char *text;
} Job;

static void job_run(void *data) {
  Job *job = data;
  (void)__atomic_fetch_add(&jobs.ran, 1, __ATOMIC_RELAXED);
  if (job->wait) {
    uv_sem_post(&jobs.begun);
    if (job->wait == 1) uv_sem_wait(&jobs.go);
    else while (!neap_work_cancelled(job)) uv_sleep(1);
  }
  job->text = strdup("result");
  job->result = job->n * 2;
}

static int job_done(lua_State *L, void *data) {
  Job *job = data;
  if (job->n < 0) return luaL_error(L, "negative");
  lua_pushinteger(L, job->result);
  lua_pushstring(L, job->text);
  lua_pushinteger(L, lua_gettop(L)); /* the stack is as it was */
  return 3;
}

static void job_cancel(void *data) {
  (void)data;
  jobs.cancelled++;
}

static void job_release(void *data) {
  free(((Job *)data)->text);
  jobs.released++;
}

static const neap_Work job_work = {"a job", job_run, job_done, job_cancel,
                                   job_release};

/* twice(n, wait) */
static int twice(lua_State *L) {
  int n = (int)luaL_checkinteger(L, 1), wait = (int)luaL_optinteger(L, 2, 0);
  Job *job = neap_work_new(L, sizeof *job, &job_work);
  job->n = n;
  job->wait = wait;
  return neap_work_await(L, job);
}

static void open_jobs(Machine *m) {
  static const neap_Async functions[] = {{"twice", twice}, {NULL, NULL}};
  jobs.released = jobs.cancelled = jobs.ran = 0;
  if (uv_sem_init(&jobs.begun, 0) < 0 || uv_sem_init(&jobs.go, 0) < 0) abort();
  machine_open(m, NULL);
  lua_pushglobaltable(m->L);
  neap_setasync(m->L, functions);
  lua_settop(m->L, 0);
}

static void close_jobs(Machine *m, int ran, int cancelled, int released) {
  machine_close(m);
  uv_sem_destroy(&jobs.begun);
  uv_sem_destroy(&jobs.go);
  expect(jobs.ran == ran);
  expect(jobs.cancelled == cancelled);
  expect(jobs.released == released);
}

static void test_work(void) {
  Machine m;
  open_jobs(&m);
  expect(machine_run(&m, "return await twice(4, 0)") == LUA_OK);
  expect(lua_tointeger(m.L, 1) == 8 && lua_tointeger(m.L, 3) == 5);
  expect(machine_run(&m, "await twice(-1)") == LUA_ERRRUN);
  expect(machine_run(&m, "await twice()") == LUA_ERRRUN);
  expect(machine_run(&m, "local list, sum = {}, 0\n"
                         "for i = 1, 200 do list[i] = twice(i) end\n"
                         "for _, n in ipairs(await asyncio.gather(list)) do\n"
                         "  sum = sum + n end\n"
                         "return sum") == LUA_OK);
  expect(lua_tointeger(m.L, 1) == 200 * 201);
  close_jobs(&m, 202, 0, 202);
}

/* One that runs is told, goes on, and its memory stays. */
static void test_work_cancel(void) {
  Machine m;
  int n;
  open_jobs(&m);
  machine_start(&m, "await twice(1, 1)");
  (void)neap_poll(m.vm, 0);
  uv_sem_wait(&jobs.begun);
  expect(neap_cancel(m.L, 1, NULL) == 1);
  expect(jobs.cancelled == 1);
  expect(neap_wait(m.L, 1, &n) == NEAP_ECANCELED);
  lua_settop(m.L, 0);
  lua_gc(m.L, LUA_GCCOLLECT);
  expect(jobs.released == 0);
  uv_sem_post(&jobs.go);
  /* Freed while another one runs, which looks whether it was cancelled. */
  machine_start(&m, "await twice(1, 2)");
  (void)neap_poll(m.vm, 0);
  uv_sem_wait(&jobs.begun);
  close_jobs(&m, 2, 2, 2);
}

/* With one thread the second job waits for its turn, and never comes. */
static void test_work_queued(void) {
  Machine m;
  open_jobs(&m);
  neap_set_workers(m.vm, 1);
  machine_start(&m, "asyncio.create_task(twice(1, 1))\n"
                    "local t = asyncio.create_task(twice(2))\n"
                    "await asyncio.sleep(0)\n"
                    "t:cancel()\n"
                    "asyncio.catch(await, t)\n"
                    "state = t:cancelled() and 1");
  while (machine_count(&m, "state") == 0) (void)neap_poll(m.vm, -1);
  uv_sem_wait(&jobs.begun);
  uv_sem_post(&jobs.go);
  neap_run(m.vm);
  close_jobs(&m, 1, 0, 2);
}

/* == Submissions ======================================================= */

static struct {
  Machine *m;
  int calls, order;
} sub;

static void on_submitted(lua_State *L, void *data) {
  expect(neap_vm(L) == sub.m->vm && lua_gettop(L) == 0);
  expect((int)(intptr_t)data == ++sub.order);
  sub.calls++;
  lua_getglobal(L, "hear");
  lua_pushinteger(L, sub.calls);
  lua_call(L, 1, 0);
}

static void *submit_many(void *ud) {
  int i;
  for (i = 1; i <= 1000; i++)
    if (neap_submit(sub.m->vm, on_submitted, (void *)(intptr_t)i) < 0) abort();
  return ud;
}

static void test_submit(void) {
  Machine m;
  pthread_t thread;
  machine_open(&m, NULL);
  memset(&sub, 0, sizeof sub);
  sub.m = &m;
  machine_start(&m, "local all = asyncio.Future()\n"
                    "function hear(n)\n"
                    "  if n == 1000 then all:set_result(n) end\n"
                    "  if n == 7 then error 'seven' end\n"
                    "end\n"
                    "heard = await all");
  (void)neap_poll(m.vm, 0);
  if (pthread_create(&thread, NULL, submit_many, NULL) != 0) abort();
  neap_run(m.vm);
  pthread_join(thread, NULL);
  expect(sub.calls == 1000 && machine_count(&m, "heard") == 1000);
  expect(m.errors == 1 && strstr(m.text, "seven") != NULL);
  /* What is there when the machine is freed is still called. */
  expect(neap_submit(m.vm, on_submitted, (void *)(intptr_t)1001) == 0);
  machine_close(&m);
  expect(sub.calls == 1001);
}

/* == Calls ============================================================= */

static const char script[] =
    "handlers = {}\n"
    "async function handlers.add(a, b)\n"
    "  await asyncio.sleep(0) return a + b, 'sum' end\n"
    "function plain(...) return select('#', ...), ... end\n"
    "async function fail() await asyncio.sleep(0) error('no bread') end\n"
    "function fail_early() error {} end\n"
    "function gives_table() return 1, {} end\n"
    "async function never() began = 1 await asyncio.Future() end\n"
    "async function cancels() asyncio.current_task():cancel()\n"
    "  await asyncio.sleep(0) end\n"
    "finish = asyncio.Future()\n"
    "async function stop() finish:set_result() end\n"
    "await finish";

static int call(neap_Vm *vm, const char *name, const neap_Value *args, int n,
                neap_Call **kept) {
  neap_Call *c = neap_call_start(vm, name, args, n);
  int status = neap_call_wait(c, -1);
  if (kept != NULL) *kept = c;
  else neap_call_free(c);
  return status;
}

static int says(neap_Call *c, const char *part) {
  const char *text = neap_call_error(c);
  int is = text != NULL && strstr(text, part) != NULL;
  if (!is) printf("error: %s\n", text != NULL ? text : "none");
  neap_call_free(c);
  return is;
}

/* Written without `failures`, which is the main thread's. */
static void *call_some(void *ud) {
  neap_Vm *vm = ud;
  neap_Value args[3];
  const neap_Value *values;
  neap_Call *c;
  long bad = 0;
  int n;
  args[0] = neap_integer(3);
  args[1] = neap_integer(4);
  args[2] = neap_string("text");
  bad += call(vm, "handlers.add", args, 2, &c) != LUA_OK;
  values = neap_call_values(c, &n);
  bad += n != 2 || values[0].as.integer != 7 ||
         strcmp(values[1].as.string, "sum") != 0;
  neap_call_free(c);
  bad += call(vm, "plain", args, 3, &c) != LUA_OK;
  values = neap_call_values(c, &n);
  bad += n != 4 || values[3].length != 4;
  neap_call_free(c);
  bad += call(vm, "fail", NULL, 0, &c) != LUA_ERRRUN;
  bad += strstr(neap_call_error(c), "in async function") == NULL &&
         strstr(neap_call_error(c), "stack traceback") == NULL;
  bad += !says(c, "test:5: no bread");
  bad += call(vm, "fail_early", NULL, 0, NULL) != LUA_ERRRUN;
  bad += call(vm, "gives_table", NULL, 0, &c) != LUA_ERRRUN;
  bad += !says(c, "result 2 of 'gives_table' is a table");
  bad += call(vm, "nothing.there", NULL, 0, &c) != LUA_ERRRUN;
  bad += !says(c, "there is no function 'nothing.there'");
  bad += call(vm, "cancels", NULL, 0, NULL) != NEAP_ECANCELED;
  c = neap_call_start(vm, "never", NULL, 0);
  bad += neap_call_wait(c, 1) != UV_ETIMEDOUT;
  neap_call_cancel(c);
  neap_call_cancel(c);
  bad += neap_call_wait(c, -1) != NEAP_ECANCELED;
  neap_call_cancel(c);
  neap_call_free(c);
  neap_call_free(NULL);
  c = neap_call_start(vm, "stop", NULL, 0);
  neap_call_free(c); /* it goes on */
  return (void *)bad;
}

/* here(): calls that would wait for themselves */
static int here(lua_State *L) {
  neap_Call *c = neap_call_start(neap_vm(L), "plain", NULL, 0);
  lua_pushboolean(L, neap_call_wait(c, -1) == UV_EBUSY);
  neap_call_free(c);
  return 1;
}

static void test_calls(void) {
  Machine m;
  pthread_t thread;
  void *bad;
  machine_open(&m, NULL);
  lua_register(m.L, "here", here);
  machine_start(&m, script);
  (void)neap_poll(m.vm, 0);
  if (pthread_create(&thread, NULL, call_some, m.vm) != 0) abort();
  neap_run(m.vm);
  pthread_join(thread, &bad);
  expect(bad == NULL);
  expect(machine_run(&m, "return here()") == LUA_OK);
  expect(lua_toboolean(m.L, 1));
  expect(m.errors == 0);
  machine_close(&m);
}

/* The machine goes while calls are at work: they are cancelled. */
static void test_calls_left(void) {
  Machine m;
  neap_Call *a, *b;
  machine_open(&m, NULL);
  machine_start(&m, script);
  (void)neap_poll(m.vm, 0);
  a = neap_call_start(m.vm, "never", NULL, 0);
  while (machine_count(&m, "began") == 0) (void)neap_poll(m.vm, -1);
  b = neap_call_start(m.vm, "never", NULL, 0); /* has not begun */
  machine_close(&m);
  expect(neap_call_wait(a, 0) == NEAP_ECANCELED);
  expect(neap_call_wait(b, 0) == NEAP_ECANCELED);
  neap_call_cancel(b);
  neap_call_free(a);
  neap_call_free(b);
}

/* == Events ============================================================ */

static neap_Events *make_events(Machine *m, size_t bound) {
  neap_Events *events = neap_events_new(m->L, bound);
  lua_setglobal(m->L, "events");
  return events;
}

static void *send_events(void *ud) {
  neap_Events *events = ud;
  neap_Value event[2];
  int i;
  for (i = 1; i <= 2000; i++) {
    event[0] = neap_string("move");
    event[1] = neap_integer(i);
    while (neap_events_push(events, event, 2) == UV_EAGAIN) uv_sleep(1);
  }
  neap_events_free(events);
  return NULL;
}

static void test_events(size_t bound) {
  Machine m;
  pthread_t thread;
  machine_open(&m, NULL);
  machine_start(&m, "local sum = 0\n"
                    "for name, n in events:items() do\n"
                    "  assert(name == 'move') sum = sum + n\n"
                    "  if n % 100 == 0 then await asyncio.sleep(0) end\n"
                    "end\n"
                    "total = sum");
  if (pthread_create(&thread, NULL, send_events, make_events(&m, bound)) != 0)
    abort();
  neap_run(m.vm);
  pthread_join(thread, NULL);
  expect(machine_count(&m, "total") == 2000 * 2001 / 2);
  machine_close(&m);
}

static int push(neap_Events *events, int n) {
  neap_Value value = neap_integer(n);
  return neap_events_push(events, &value, 1);
}

static void test_events_ends(void) {
  Machine m;
  neap_Events *events;
  machine_open(&m, NULL);
  events = make_events(&m, 2);
  expect(push(events, 1) == 0 && push(events, 2) == 0);
  expect(push(events, 3) == UV_EAGAIN);
  expect(neap_events_push(events, NULL, 0) == UV_EINVAL);
  expect(machine_run(&m, "assert(events:qsize() == 2)\n"
                         "return await events:get()") == LUA_OK);
  expect(lua_tointeger(m.L, -1) == 1 && push(events, 3) == 0);
  neap_events_free(events); /* what is there is still read */
  expect(machine_run(&m, "local n = 0\n"
                         "for i in events:items() do n = n + i end\n"
                         "assert(n == 5)\n"
                         "local ok, e = pcall(await, events:get())\n"
                         "assert(asyncio.iserror(e, asyncio.QueueShutDown))\n"
                         "events:close()\n"
                         "assert(tostring(events) == 'Events (closed)')") ==
         LUA_OK);
  /* Closed by the script, in which two tasks wait; and a nil. */
  events = make_events(&m, 0);
  expect(machine_run(&m, "local a = asyncio.create_task(events:get())\n"
                         "local b = asyncio.create_task(events:get())\n"
                         "local c = asyncio.create_task(events:get())\n"
                         "await asyncio.sleep(0)\n"
                         "c:cancel()\n"
                         "events:close()\n"
                         "asyncio.catch(await, c)\n"
                         "local ok, e = pcall(await, a)\n"
                         "assert(e.code == 'ECLOSED', e)\n"
                         "ok, e = pcall(await, b)\n"
                         "assert(e.code == 'ECLOSED', e)") == LUA_OK);
  expect(push(events, 1) == NEAP_ECLOSED);
  neap_events_free(events);
  events = make_events(&m, 0);
  {
    neap_Value nil = neap_nil();
    expect(neap_events_push(events, &nil, 1) == 0);
    expect(neap_events_push(events, &nil, 1) == 0);
  }
  expect(machine_run(&m, "assert(await events:get() == nil)\n"
                         "for i in events:items() do end") == LUA_ERRRUN);
  expect(strstr(machine_text(&m), "begins with nil") != NULL);
  /* The machine goes first, with events and a reader. */
  lua_settop(m.L, 0);
  expect(push(events, 1) == 0);
  machine_start(&m, "while true do await events:get() end");
  (void)neap_poll(m.vm, 0);
  machine_close(&m);
  expect(push(events, 1) == NEAP_ECLOSED);
  neap_events_free(events);
  neap_events_free(NULL);
}

/* Several read; a task that was woken and is cancelled loses no event. */
static void test_events_readers(void) {
  Machine m;
  neap_Events *events;
  int n;
  machine_open(&m, NULL);
  events = make_events(&m, 0);
  machine_start(&m, "got = 0\n"
                    "local async function read()\n"
                    "  got = got + select('#', await events:get()) end\n"
                    "first = asyncio.create_task(read())\n"
                    "second = asyncio.create_task(read())\n"
                    "ready = 1\n"
                    "await asyncio.wait{first, second}");
  while (machine_count(&m, "ready") == 0) (void)neap_poll(m.vm, -1);
  (void)neap_poll(m.vm, 0);
  (void)neap_poll(m.vm, 0);
  expect(push(events, 1) == 0);
  lua_getglobal(m.L, "first");
  (void)neap_cancel(m.L, -1, NULL);
  lua_pop(m.L, 1);
  expect(neap_wait(m.L, 1, &n) == LUA_OK);
  expect(machine_count(&m, "got") == 1);
  neap_events_free(events);
  machine_close(&m);
}

/* == All of it at once ================================================= */

static neap_Token *outstanding;

static int wait_for_ever(lua_State *L) {
  outstanding = neap_token_new(L, NULL, NULL);
  return neap_token_await(L, outstanding);
}

static void *give_late(void *ud) {
  uv_sem_wait(ud);
  expect(neap_token_resolve(outstanding, NULL, 0) == 0);
  return NULL;
}

static void count_call(lua_State *L, void *data) {
  (void)L;
  ++*(int *)data;
}

/* The machine is freed with tasks, a job that runs and one that waits, a
 * token, a call, events, a handle, a read and a submission. */
static void test_free_at_work(void) {
  Machine m;
  pthread_t thread;
  uv_sem_t late;
  neap_Events *queue;
  neap_Call *c;
  int submitted = 0;
  open_jobs(&m);
  neap_set_workers(m.vm, 1);
  lua_pushcfunction(m.L, wait_for_ever);
  neap_async(m.L, "wait_for_ever");
  lua_setglobal(m.L, "wait_for_ever");
  queue = make_events(&m, 0);
  machine_start(&m, "local net = require 'neap.net'\n"
                    "local a, b = net.pair()\n"
                    "local fs = require 'neap.fs'\n"
                    "function never() await asyncio.Future() end\n"
                    "for _, x in ipairs{twice(1, 2), twice(2),\n"
                    "    wait_for_ever(), events:get(), a:read(1),\n"
                    "    fs.read_file('Makefile')} do\n"
                    "  asyncio.create_task(x)\n"
                    "end\n"
                    "local _ <close> = asyncio.defer(async function()\n"
                    "  await asyncio.sleep(0.001) end)\n"
                    "await asyncio.sleep(1000)");
  lua_settop(m.L, 0);
  (void)neap_poll(m.vm, 0);
  uv_sem_wait(&jobs.begun);
  c = neap_call_start(m.vm, "never", NULL, 0);
  expect(neap_submit(m.vm, count_call, &submitted) == 0);
  if (uv_sem_init(&late, 0) < 0) abort();
  if (pthread_create(&thread, NULL, give_late, &late) != 0) abort();
  close_jobs(&m, 1, 1, 2);
  uv_sem_post(&late);
  pthread_join(thread, NULL);
  uv_sem_destroy(&late);
  expect(submitted == 1 && m.errors == 0);
  expect(neap_call_wait(c, -1) == NEAP_ECANCELED);
  neap_call_free(c);
  expect(push(queue, 1) == NEAP_ECLOSED);
  neap_events_free(queue);
}

int main(void) {
  test_work();
  test_work_cancel();
  test_work_queued();
  test_submit();
  test_calls();
  test_calls_left();
  test_events(0);
  test_events(10);
  test_events_ends();
  test_events_readers();
  test_free_at_work();
  if (failures == 0) printf("threads: ok\n");
  return failures != 0;
}
