/*
 * worker.c - C functions that block, on threads of the machine's own.
 *
 * Jobs stand in one queue; a thread is started when there are more of them
 * than threads that have nothing to do, up to a number. A job that was done
 * comes back as a post. Its memory is freed when that has come and its box
 * was collected. libuv's threads are left to files.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "loop.h"
#include "task.h"

#define USUAL_THREADS 4
#define MOST_THREADS 1024

enum { QUEUED = 1, RUNNING, DONE };

typedef struct Job {
  np_Post post; /* first */
  neap_Vm *vm;
  const neap_Work *work;
  neap_Wait wait;
  struct Job *prev, *next; /* in the queue */
  void **box;
  size_t size;
  int state;     /* guarded by the workers' mutex */
  int cancelled; /* atomic */
  int begun, in_flight, collected; /* the machine's thread alone */
} Job;

struct np_Workers {
  neap_Vm *vm;
  uv_mutex_t mutex;
  uv_cond_t more; /* there are jobs, or it is over */
  Job *first, *last;
  int queued, idle, stopping;
  int count; /* of threads; the machine's thread alone */
  uv_thread_t *threads;
};

/* What the host has of a job follows it. */
#define HEAD ((sizeof(Job) + 15) / 16 * 16)

static void *data_of(Job *job) { return (char *)job + HEAD; }
static Job *job_of(void *data) { return (Job *)((char *)data - HEAD); }

/* == The queue: with the mutex held =================================== */

static void append(struct np_Workers *w, Job *job) {
  job->state = QUEUED;
  job->next = NULL;
  job->prev = w->last;
  if (w->last != NULL) w->last->next = job;
  else w->first = job;
  w->last = job;
  w->queued++;
}

static void take_out(struct np_Workers *w, Job *job) {
  if (job->prev != NULL) job->prev->next = job->next;
  else w->first = job->next;
  if (job->next != NULL) job->next->prev = job->prev;
  else w->last = job->prev;
  w->queued--;
}

/* == A worker thread ================================================== */

static void perform(struct np_Workers *w, Job *job) {
  np_Inbox *in = w->vm->inbox;
  job->work->run(data_of(job));
  uv_mutex_lock(&w->mutex);
  job->state = DONE;
  uv_mutex_unlock(&w->mutex);
  np_inbox_lock(in);
  (void)np_inbox_put(in, &job->post); /* open: the machine waits for jobs */
  np_inbox_unlock(in);
}

static void work(void *arg) {
  struct np_Workers *w = arg;
  uv_mutex_lock(&w->mutex);
  for (;;) {
    Job *job;
    w->idle++;
    while (w->first == NULL && !w->stopping) uv_cond_wait(&w->more, &w->mutex);
    w->idle--;
    job = w->first;
    if (job == NULL) break;
    take_out(w, job);
    job->state = RUNNING;
    uv_mutex_unlock(&w->mutex);
    perform(w, job);
    uv_mutex_lock(&w->mutex);
  }
  uv_mutex_unlock(&w->mutex);
}

/* == The threads: on the machine's thread ============================= */

static struct np_Workers *workers_new(neap_Vm *vm) {
  struct np_Workers *w = calloc(1, sizeof *w);
  if (w == NULL) return NULL;
  w->vm = vm;
  if (uv_mutex_init(&w->mutex) < 0) goto no_mutex;
  if (uv_cond_init(&w->more) < 0) goto no_cond;
  return w;
no_cond:
  uv_mutex_destroy(&w->mutex);
no_mutex:
  free(w);
  return NULL;
}

int np_os_thread(uv_thread_t *thread, void (*run)(void *arg), void *arg) {
  sigset_t all, before;
  int err;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  err = uv_thread_create(thread, run, arg);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return err;
}

/* One thread more. */
static int start_thread(struct np_Workers *w) {
  int err;
  uv_thread_t *threads =
      realloc(w->threads, (size_t)(w->count + 1) * sizeof *threads);
  if (threads == NULL) return UV_ENOMEM;
  w->threads = threads;
  err = np_os_thread(&threads[w->count], work, w);
  if (err == 0) w->count++;
  return err;
}

/* Queues the job and sees that somebody will do it; 0 or an error. */
static int submit(struct np_Workers *w, Job *job) {
  int most = w->vm->workers_most > 0 ? w->vm->workers_most : USUAL_THREADS;
  int need, err = 0;
  uv_mutex_lock(&w->mutex);
  append(w, job);
  need = w->queued > w->idle;
  uv_cond_signal(&w->more);
  uv_mutex_unlock(&w->mutex);
  if (need && w->count < most) err = start_thread(w);
  if (err == 0 || w->count > 0) return 0; /* those that are there will do */
  uv_mutex_lock(&w->mutex);
  take_out(w, job);
  job->state = DONE;
  uv_mutex_unlock(&w->mutex);
  return err;
}

void neap_set_workers(neap_Vm *vm, int n) {
  vm->workers_most = n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n;
}

void np_workers_stop(neap_Vm *vm) {
  struct np_Workers *w = vm->workers;
  int i;
  if (w == NULL) return;
  uv_mutex_lock(&w->mutex);
  w->stopping = 1;
  uv_cond_broadcast(&w->more);
  uv_mutex_unlock(&w->mutex);
  for (i = 0; i < w->count; i++) (void)uv_thread_join(&w->threads[i]);
  uv_cond_destroy(&w->more);
  uv_mutex_destroy(&w->mutex);
  free(w->threads);
  free(w);
  vm->workers = NULL;
}

/* == Jobs ============================================================= */

static void job_free(Job *job) {
  if (job->work->release != NULL) job->work->release(data_of(job));
  np_alloc(job->vm, job, HEAD + job->size, 0);
}

/* It is neither in the queue nor running any more. */
static void job_ended(Job *job) {
  job->in_flight = 0;
  neap_request_end(job->vm);
  np_loop_release(job->vm);
}

static void on_performed(neap_Vm *vm, np_Post *post, int closed) {
  Job *job = (Job *)post;
  (void)vm;
  (void)closed; /* never: the machine has waited */
  job_ended(job);
  (void)neap_wake(&job->wait, 0);
  if (job->collected) job_free(job);
}

static void on_abort(neap_Wait *wait) {
  Job *job = (Job *)((char *)wait - offsetof(Job, wait));
  struct np_Workers *w = job->vm->workers;
  int state;
  __atomic_store_n(&job->cancelled, 1, __ATOMIC_RELEASE);
  uv_mutex_lock(&w->mutex);
  state = job->state;
  if (state == QUEUED) {
    take_out(w, job);
    job->state = DONE;
  }
  uv_mutex_unlock(&w->mutex);
  if (state == QUEUED) job_ended(job);
  else if (state == RUNNING && job->work->cancel != NULL)
    job->work->cancel(data_of(job));
}

static int job_gc(lua_State *L) {
  Job **box = lua_touserdata(L, 1), *job = *box;
  if (job == NULL) return 0;
  *box = NULL;
  job->collected = 1;
  if (!job->in_flight) job_free(job);
  return 0;
}

void *neap_work_new(lua_State *L, size_t size, const neap_Work *what) {
  neap_Vm *vm = np_park_check(L)->vm;
  void **box = np_box_new(L, job_gc);
  Job *job = np_alloc(vm, NULL, 0, HEAD + size);
  if (job == NULL) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  memset(job, 0, HEAD + size);
  job->post.run = on_performed;
  job->vm = vm;
  job->work = what;
  job->wait.abort = on_abort;
  job->wait.what = what->name;
  job->box = box;
  job->size = size;
  *box = job;
  return data_of(job);
}

/* The box is on top, of the stack as it was at neap_work_await. */
static int job_done(lua_State *L, int status) {
  Job *job = *(Job **)lua_touserdata(L, -1);
  (void)status;
  lua_pop(L, 1);
  return job->work->done(L, data_of(job));
}

int neap_work_await(lua_State *L, void *data) {
  Job *job = job_of(data);
  neap_Vm *vm = job->vm;
  int err = UV_ENOMEM;
  np_box_find(L, job->box, "job");
  if (job->begun) return np_error(L, "the job was awaited already");
  (void)np_park_check(L);
  if (vm->workers == NULL) vm->workers = workers_new(vm);
  job->begun = 1;
  if (vm->workers != NULL) err = submit(vm->workers, job);
  if (err < 0) return neap_fail(L, err, "%s", job->work->name);
  job->in_flight = 1;
  neap_request_begin(vm);
  np_loop_hold(vm);
  return neap_await(L, &job->wait, job_done);
}

int neap_work_cancelled(void *data) {
  return __atomic_load_n(&job_of(data)->cancelled, __ATOMIC_ACQUIRE);
}
