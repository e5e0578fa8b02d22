/*
 * pool.c - the host's own thread pool, whose work scripts can await.
 *
 * The pool knows nothing of neap: it calls a function on one of its threads.
 * Between the two is a token, which any thread may give back.
 *
 * --> HELLO
 * --> THREE, TWO and ONE
 * --> sorry: it was empty
 * --> never mind
 */
#include <ctype.h>
#include <lauxlib.h>
#include <neap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* == The pool ========================================================== */

typedef struct Job {
  struct Job *next;
  void (*run)(struct Job *job);
  neap_Token *token;
  char text[64];
} Job;

typedef struct Pool {
  pthread_mutex_t mutex;
  pthread_cond_t more;
  Job *first;
  int stopping;
  pthread_t threads[2];
} Pool;

static void *serve(void *ud) {
  Pool *pool = ud;
  pthread_mutex_lock(&pool->mutex);
  for (;;) {
    while (pool->first == NULL && !pool->stopping)
      pthread_cond_wait(&pool->more, &pool->mutex);
    Job *job = pool->first;
    if (job == NULL) break;
    pool->first = job->next;
    pthread_mutex_unlock(&pool->mutex);
    job->run(job);
    pthread_mutex_lock(&pool->mutex);
  }
  pthread_mutex_unlock(&pool->mutex);
  return NULL;
}

static void pool_start(Pool *pool) {
  for (int i = 0; i < 2; i++)
    if (pthread_create(&pool->threads[i], NULL, serve, pool) != 0) abort();
}

static void pool_add(Pool *pool, Job *job) {
  pthread_mutex_lock(&pool->mutex);
  job->next = pool->first;
  pool->first = job;
  pthread_cond_signal(&pool->more);
  pthread_mutex_unlock(&pool->mutex);
}

static void pool_stop(Pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  pool->stopping = 1;
  pthread_cond_broadcast(&pool->more);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < 2; i++) pthread_join(pool->threads[i], NULL);
}

/* == What scripts have of it =========================================== */

/* On a thread of the pool. Giving the token back is the last thing done. */
static void shout_run(Job *job) {
  for (char *c = job->text; *c != '\0'; c++)
    *c = (char)toupper((unsigned char)*c);
  neap_Value text = neap_string(job->text);
  if (*job->text == '\0')
    (void)neap_token_reject(job->token, 0, "it was empty");
  else
    (void)neap_token_resolve(job->token, &text, 1);
  free(job);
}

/* shout(text) -> TEXT */
static int shout(lua_State *L) {
  const char *text = luaL_checkstring(L, 1);
  neap_Token *token = neap_token_new(L, NULL, NULL);
  Job *job = calloc(1, sizeof *job);
  if (job == NULL) {
    (void)neap_token_reject(token, 0, "not enough memory");
    return neap_token_await(L, token);
  }
  job->run = shout_run;
  job->token = token;
  (void)snprintf(job->text, sizeof job->text, "%s", text);
  pool_add(neap_data(neap_vm(L)), job);
  return neap_token_await(L, token);
}

static const neap_Async functions[] = {{"shout", shout}, {NULL, NULL}};

static const char script[] =
    "print(await shout 'hello')\n"
    "print(('%s, %s and %s'):format(await asyncio.gather(\n"
    "  shout 'three', shout 'two', shout 'one')))\n"
    "local ok, e = pcall(await, shout '')\n"
    "print('sorry: ' .. e.message)\n"
    "local task = asyncio.create_task(shout 'too late')\n"
    "await asyncio.sleep(0)\n"
    "task:cancel() -- the token comes back all the same\n"
    "print 'never mind'\n";

int main(void) {
  Pool pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
               NULL, 0, {0}};
  neap_Options options = {.size = sizeof options, .data = &pool};
  neap_Vm *vm = neap_vm_new(&options);
  if (vm == NULL) return 1;
  pool_start(&pool);
  lua_State *L = neap_state(vm);
  lua_pushglobaltable(L);
  neap_setasync(L, functions);
  lua_pop(L, 1);
  int status = neap_dostring(vm, script, "=script");
  if (status != LUA_OK) fprintf(stderr, "%s\n", neap_error(L, -1)->text);
  neap_vm_free(vm);
  pool_stop(&pool); /* after the machine: its tokens outlive it */
  return status != LUA_OK;
}
