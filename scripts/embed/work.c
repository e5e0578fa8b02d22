/*
 * work.c - an async function in C that blocks, on a worker thread.
 *
 * Its task waits, the loop does not. A task that is cancelled goes on at
 * once; the job that it has left behind is asked to end.
 *
 * --> 832040
 * --> 75025 and 46368
 * --> gave up
 */
#include <lauxlib.h>
#include <neap.h>
#include <stdio.h>

typedef struct Fib {
  int n;
  long result;
} Fib;

static long fib(Fib *job, int n) {
  if (n < 2 || neap_work_cancelled(job)) return n;
  return fib(job, n - 1) + fib(job, n - 2);
}

/* On a worker thread: touches the job only. */
static void fib_run(void *job) {
  ((Fib *)job)->result = fib(job, ((Fib *)job)->n);
}

/* On the task's own stack. */
static int fib_done(lua_State *L, void *job) {
  lua_pushinteger(L, ((Fib *)job)->result);
  return 1;
}

static const neap_Work fib_work = {"fib", fib_run, fib_done, NULL, NULL};

/* fib(n) -> number */
static int async_fib(lua_State *L) {
  int n = (int)luaL_checkinteger(L, 1);
  Fib *job = neap_work_new(L, sizeof *job, &fib_work);
  job->n = n;
  return neap_work_await(L, job);
}

static const neap_Async functions[] = {{"fib", async_fib}, {NULL, NULL}};

static const char script[] =
    "print(await fib(30))\n"
    "local a, b = await asyncio.gather(fib(25), fib(24))\n"
    "print(a .. ' and ' .. b)\n"
    "local ok, e = pcall(await, asyncio.wait_for(fib(90), 0.01))\n"
    "if asyncio.iserror(e, asyncio.TimeoutError) then print 'gave up' end\n";

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  neap_set_workers(vm, 2);
  lua_pushglobaltable(L);
  neap_setasync(L, functions);
  lua_pop(L, 1);
  int status = neap_dostring(vm, script, "=script");
  if (status != LUA_OK) fprintf(stderr, "%s\n", neap_error(L, -1)->text);
  neap_vm_free(vm); /* waits for the jobs that run */
  return status != LUA_OK;
}
