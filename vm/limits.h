/*
 * limits.h - what limits.c counts, for the files of vm/.
 *
 * A machine without limits has no np_Limits and pays one test of a pointer
 * per step. One whose time, instructions or depth is limited has a count
 * hook on every Lua thread; when a limit is reached, the hook raises, and
 * from then to the step's end `stop` says so: whatever catches an error asks
 * np_stopped and raises it again, and a task cannot wait any more.
 */
#ifndef NP_LIMITS_H
#define NP_LIMITS_H

#include "vm.h"

/* Each is the name of a limit, as the code of its error. */
enum {
  NP_STOP_NONE,
  NP_STOP_STEP_INSTRUCTIONS, NP_STOP_STEP_SECONDS,
  NP_STOP_TASK_INSTRUCTIONS, NP_STOP_TASK_SECONDS,
  NP_STOP_INSTRUCTIONS, NP_STOP_SECONDS, NP_STOP_FINISH_SECONDS,
  NP_STOP_DEPTH, NP_STOP_TASK_LIFE_SECONDS, NP_STOP_HOST
};

typedef struct np_Limits {
  neap_Limits max;
  lua_Alloc inner; /* the allocator below ours */
  void *inner_data;
  size_t used, most;   /* bytes */
  size_t allocated;    /* bytes since that was last counted as work */
  int hooked, timed;
  int hooks;           /* the script has set a hook: see hooks.c */
  int depth;           /* of np_limits_enter */
  int stop;            /* the limit that this step has reached, or 0 */
  int spent;           /* the one that the whole machine has */
  uint64_t count;      /* instructions of the steps that have ended */
  uint64_t step;       /* and of this one */
  uint64_t left;       /* those of `step` after which nothing runs any more */
  uint64_t began, ran; /* ns: when this step did, how long the others took */
  uint64_t seed;
  uint64_t patience;   /* when an interrupt is raised, or 0 */
  neap_Timer timer;    /* of the clean-up at the end */
  neap_Timer life;     /* when the next task has lived for too long */
  lua_State *finalizer; /* runs what __gc has: see finalizer.c */
  size_t kinds[3];     /* open handles, by NEAP_KIND_* */
} np_Limits;

/* Reads the options; 0 or UV_ENOMEM. */
int np_limits_new(neap_Vm *vm, const neap_Limits *max);
void np_limits_free(neap_Vm *vm);

/* Changes what the script sees, then counts from now on. */
void np_limits_open(lua_State *L);
void np_limits_begin(neap_Vm *vm);
void np_finalizer_open(lua_State *L);
void np_bounded_open(lua_State *L);
void np_patterns_open(lua_State *L);

/* Has the hook look soon, and adds to the instructions. */
void np_look_soon(neap_Vm *vm, uint64_t charge);

/* Around whatever runs code of the script's; these nest. */
void np_limits_enter(neap_Vm *vm);
void np_limits_leave(neap_Vm *vm);

/* The same at the end of a step of the current task, which counts for it. */
void np_limits_leave_task(neap_Vm *vm);

static inline int np_hooked(neap_Vm *vm) {
  return vm->limits != NULL && vm->limits->hooked;
}
static inline int np_stopped(neap_Vm *vm) {
  return vm->limits != NULL && vm->limits->stop != NP_STOP_NONE;
}
static inline int np_spent(neap_Vm *vm) {
  return vm->limits != NULL && vm->limits->spent != NP_STOP_NONE;
}

/* 1 in a step that one of the limits has ended. */
static inline int np_ended_by_limit(neap_Vm *vm) {
  return np_stopped(vm) && vm->limits->stop != NP_STOP_HOST;
}

/* Stops the step that runs. */
void np_limits_stop(neap_Vm *vm, int what);

/* `status`, or NEAP_ELIMIT if a limit has ended the task. */
int np_limits_status(const np_Future *f, int status);

/* Clean-up at the end begins: it has its own time. */
void np_limits_finish(neap_Vm *vm);
void np_limits_finished(neap_Vm *vm);

/* The life of a task begins, in ms of the clock; 0 or UV_ENOMEM. The last one
 * has ended. */
int np_limits_born(neap_Vm *vm, uint32_t *born);
void np_limits_idle(neap_Vm *vm);

/* Pushes the error of the limit that was reached. */
void np_limits_push(lua_State *L);
int np_limits_raise(lua_State *L);

/* Takes a hook off the thread; what counts stays there, or comes back. */
void np_hook_off(lua_State *L);

/* hooks.c: hooks of the script's beside ours. `call` is 1 if the event was
 * the script's alone; `wanted` adds what it wants to know. */
void np_hooks_open(lua_State *L);
int np_hooks_call(lua_State *L, lua_Debug *ar);
void np_hooks_wanted(lua_State *L, int *mask, int *count);
void np_hooks_forget(lua_State *L);

/* A new coroutine of the script's. */
void np_limits_thread(lua_State *co);

/* lua_setmetatable for a table that the script could give a __gc. */
void np_setmetatable(lua_State *L, int index);

/* Raises if there are as many tasks or handles as there may be. */
void np_limits_tasks(lua_State *L, size_t n);
void np_limits_handle(lua_State *L);

#endif
