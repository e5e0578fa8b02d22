/*
 * work.c - an async function in C whose work another thread does.
 *
 * While the request is in flight libuv and the thread use the struct, even if
 * the task that waited was cancelled: the pin keeps it until both let go.
 *
 * --> 832040
 * --> 75025 and 46368
 */
#include <lauxlib.h>
#include <neap.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

typedef struct Job {
  neap_Handle handle; /* first */
  uv_work_t request;
  neap_Wait wait;
  int n;
  long result;
} Job;

static long fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

/* On a thread of libuv's: touches its own struct only. */
static void compute(uv_work_t *request) {
  Job *job = request->data;
  job->result = fib(job->n);
}

/* On the machine's thread again. */
static void on_computed(uv_work_t *request, int status) {
  Job *job = request->data;
  (void)neap_wake(&job->wait, status); /* 0 if the task was cancelled */
  neap_handle_close(&job->handle);
  neap_handle_unpin(&job->handle);
}

/* The task is cancelled: the work need not begin, if it has not yet. */
static void on_abort(neap_Wait *wait) {
  Job *job = (Job *)((char *)wait - offsetof(Job, wait));
  (void)uv_cancel((uv_req_t *)&job->request);
}

static void job_close(neap_Handle *h) {
  (void)neap_wake(&((Job *)h)->wait, NEAP_ECLOSED);
}

static const neap_Class job_class = {"Job", job_close, NULL};

static int job_done(lua_State *L, int status) {
  Job *job = neap_handle_test(L, 2, &job_class);
  if (status < 0) return neap_fail(L, status, "fib(%d)", job->n);
  lua_pushinteger(L, job->result);
  return 1;
}

/* fib(n) -> number, computed elsewhere */
static int async_fib(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n < 50, 1, "out of range");
  lua_settop(L, 1);
  neap_await_check(L); /* not to work for nobody */
  Job *job = neap_handle_new(L, sizeof *job, &job_class);
  job->n = (int)n;
  job->request.data = job;
  job->wait.abort = on_abort;
  job->wait.what = "fib";
  int err = uv_queue_work(neap_loop(L), &job->request, compute, on_computed);
  if (err < 0) return neap_fail(L, err, "fib");
  neap_handle_pin(&job->handle);
  return neap_await(L, &job->wait, job_done);
}

static const neap_Async functions[] = {{"fib", async_fib}, {NULL, NULL}};

static const char script[] =
    "print(await fib(30))\n"
    "local a, b = await asyncio.gather(fib(25), fib(24))\n"
    "print(a .. ' and ' .. b)\n"
    "local task = asyncio.create_task(fib(30))\n"
    "await asyncio.sleep(0)\n"
    "task:cancel()";

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  neap_class_new(L, &job_class, NULL, NULL);
  lua_pop(L, 1);
  lua_pushglobaltable(L);
  neap_setasync(L, functions);
  lua_pop(L, 1);
  int n, status = neap_load(L, script, strlen(script), "=script", "t");
  if (status == LUA_OK) {
    neap_spawn(L, 0, "main");
    status = neap_wait(L, -1, &n);
  }
  if (status != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  neap_vm_free(vm); /* waits for the requests that are in flight */
  return status != LUA_OK;
}
