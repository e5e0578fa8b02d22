/*
 * async.h - async functions, coroutine objects and coroutines.
 */
#ifndef NP_ASYNC_H
#define NP_ASYNC_H

#include "vm.h"

/* == Coroutine objects ================================================== */

enum { NP_CO_NEW, NP_CO_USED, NP_CO_EXCUSED /* new, but see np_co_excuse */ };

/* User values: the body, then the arguments. */
typedef struct np_Co {
  uint32_t record; /* its number, see object.c */
  uint32_t source; /* where it was made */
  int line;
  uint16_t nargs;
  uint8_t state;
} np_Co;

/* A call of an async function: upvalue 1 is the body, 3 the number of its
 * name; see neap_async. */
int np_async_call(lua_State *L);

/* The one at `index`, or NULL. */
np_Co *np_co_test(lua_State *L, int index);

/* Makes a coroutine object of the function and arguments on top, of which
 * nobody is told if it is lost. */
void np_co_make(lua_State *L, int nargs);

/* Marks the coroutine object at `index` used; raises if it was. */
void np_co_claim(lua_State *L, int index);
void np_co_unclaim(lua_State *L, int index);

/* Claims the value on top if it is a new coroutine object; 0 if not. */
int np_co_claim_new(lua_State *L);

/* Replaces the claimed object on top, which is `co`, by body and arguments;
 * one slot more is needed on the way. Allocates nothing. */
void np_co_unpack(lua_State *L, const np_Co *co);

/* Claims the one at `index` and pushes body and arguments; returns the
 * number of arguments. */
int np_co_take(lua_State *L, int index);

/* Pops all above `base`. The coroutine objects among them, and those that
 * were given to these, are not reported if nobody awaits them. */
void np_co_excuse(lua_State *L, int base);

/* Reports those that were collected new, or at the end `all` that are new. */
void np_co_lost(lua_State *L, int all);

/* Gives memory back that many new objects needed, if none is left. */
void np_object_trim(neap_Vm *vm);

/* Raises what misusing one gives. */
int np_co_misuse(lua_State *L);

/* == async.c: async functions, await ==================================== */

/* Replaces the async function at `index` by its body; others stay. */
void np_async_strip(lua_State *L, int index);

/* Pushes the name of the async function whose body is at `index`, or "?". */
void np_async_name(lua_State *L, int index);

/* Pushes the name of the C function that is running, "?" if it has none. */
void np_push_running(lua_State *L);

/* 1 if the source name is one of the machine's own pieces of Lua. */
int np_internal(const char *source);

/* 1 if `f` is of what the words become; not for tracebacks. */
int np_is_word(lua_CFunction f);

/* == coro.c, base.c ===================================================== */

/* The coroutine that the innermost function of L resumes, or NULL. */
lua_State *np_coro_resumed(lua_State *L);

/* Below the function of a coroutine that awaits; not for tracebacks. */
int np_coro_body(lua_State *L);

/* If it had that and has died of an error: pushes its traceback, and lends the
 * text. Else NULL, and pushes nothing. */
const char *np_coro_died(lua_State *L, lua_State *co);

int np_base_misuse(lua_State *L); /* what modules raise a mistake with */

/* asyncio.catch */
int np_catch(lua_State *L);

#endif
