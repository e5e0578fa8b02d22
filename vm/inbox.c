/*
 * inbox.c - posts from other threads, and the values they carry.
 *
 * The mutex is held for a few instructions only, and never while something
 * of the host's or of Lua's runs.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define SLICE_TIME 50000 /* ns, as in loop.c */

/* == The list ========================================================= */

np_Inbox *np_inbox_new(neap_Vm *vm) {
  np_Inbox *in = calloc(1, sizeof *in);
  if (in == NULL) return NULL;
  if (uv_mutex_init(&in->mutex) < 0) goto no_mutex;
  if (uv_cond_init(&in->changed) < 0) goto no_cond;
  in->vm = vm;
  in->holders = 1;
  return in;
no_cond:
  uv_mutex_destroy(&in->mutex);
no_mutex:
  free(in);
  return NULL;
}

np_Inbox *np_inbox_hold(np_Inbox *in) {
  (void)__atomic_fetch_add(&in->holders, 1, __ATOMIC_RELAXED);
  return in;
}

void np_inbox_drop(np_Inbox *in) {
  if (__atomic_fetch_sub(&in->holders, 1, __ATOMIC_ACQ_REL) > 1) return;
  uv_cond_destroy(&in->changed);
  uv_mutex_destroy(&in->mutex);
  free(in);
}

void np_inbox_lock(np_Inbox *in) { uv_mutex_lock(&in->mutex); }
void np_inbox_unlock(np_Inbox *in) { uv_mutex_unlock(&in->mutex); }

int np_inbox_put(np_Inbox *in, np_Post *post) {
  if (in->vm == NULL) return NEAP_ECLOSED;
  post->next = NULL;
  if (in->last != NULL) {
    in->last->next = post;
  } else {
    in->first = post;
    (void)uv_async_send(&in->vm->async); /* under the lock: it is open */
  }
  in->last = post;
  return 0;
}

/* Takes the whole list. */
static np_Post *take(np_Inbox *in) {
  np_Post *first;
  np_inbox_lock(in);
  first = in->first;
  in->first = in->last = NULL;
  np_inbox_unlock(in);
  return first;
}

void np_inbox_run(neap_Vm *vm) {
  uint64_t start = 0;
  int ran = 0;
  if (vm->posts == NULL) {
    vm->posted = 0; /* before: what comes later sets it again */
    vm->posts = take(vm->inbox);
  }
  while (vm->posts != NULL) {
    np_Post *post = vm->posts;
    vm->posts = post->next;
    post->run(vm, post, 0);
    if (++ran % 16 > 0) continue;
    if (start == 0) start = uv_hrtime();
    else if (uv_hrtime() - start > SLICE_TIME) break;
  }
}

void np_inbox_close(neap_Vm *vm) {
  np_Inbox *in = vm->inbox;
  np_Post *post = vm->posts, *next;
  vm->posts = NULL;
  do {
    for (; post != NULL; post = next) {
      next = post->next;
      post->run(vm, post, 1);
    }
    np_inbox_lock(in);
    post = in->first;
    in->first = in->last = NULL;
    if (post == NULL) in->vm = NULL;
    np_inbox_unlock(in);
  } while (post != NULL);
  vm->inbox = NULL;
  np_inbox_drop(in);
}

/* == Values =========================================================== */

/* Bytes for the copy, 0 if there is no such. */
static size_t size_of(const neap_Value *values, int n) {
  size_t size = sizeof(np_Values);
  int i;
  if (n < 0 || (n > 0 && values == NULL)) return 0;
  for (i = 0; i < n; i++) {
    size_t more = sizeof *values;
    if (values[i].type < NEAP_NIL || values[i].type > NEAP_POINTER) return 0;
    if (values[i].type == NEAP_STRING) more += values[i].length + 1;
    if (more < sizeof *values || size + more < size) return 0;
    size += more;
  }
  return size;
}

np_Values *np_values_copy(const neap_Value *values, int n) {
  size_t size = size_of(values, n);
  np_Values *copy = size > 0 ? malloc(size) : NULL;
  char *text;
  int i;
  if (copy == NULL) return NULL;
  copy->n = n;
  text = (char *)(copy->value + n);
  for (i = 0; i < n; i++) {
    neap_Value *v = &copy->value[i];
    *v = values[i];
    if (v->type != NEAP_STRING) continue;
    if (v->length > 0) memcpy(text, v->as.string, v->length);
    v->as.string = text;
    text[v->length] = '\0';
    text += v->length + 1;
  }
  return copy;
}

static void push_value(lua_State *L, const neap_Value *v) {
  switch (v->type) {
  case NEAP_BOOLEAN: lua_pushboolean(L, v->as.boolean); break;
  case NEAP_INTEGER: lua_pushinteger(L, v->as.integer); break;
  case NEAP_NUMBER: lua_pushnumber(L, v->as.number); break;
  case NEAP_STRING: lua_pushlstring(L, v->as.string, v->length); break;
  case NEAP_POINTER: lua_pushlightuserdata(L, v->as.pointer); break;
  default: lua_pushnil(L); break;
  }
}

int np_values_push(lua_State *L, const np_Values *values) {
  int i;
  if (values == NULL) return 0;
  luaL_checkstack(L, values->n, "too many values");
  for (i = 0; i < values->n; i++) push_value(L, &values->value[i]);
  return values->n;
}

int np_value_view(lua_State *L, int index, neap_Value *value) {
  size_t length;
  const char *text;
  switch (lua_type(L, index)) {
  case LUA_TNIL: *value = neap_nil(); return 1;
  case LUA_TBOOLEAN: *value = neap_boolean(lua_toboolean(L, index)); return 1;
  case LUA_TLIGHTUSERDATA:
    *value = neap_pointer(lua_touserdata(L, index));
    return 1;
  case LUA_TNUMBER:
    *value = lua_isinteger(L, index)
                 ? neap_integer(lua_tointeger(L, index))
                 : neap_number(lua_tonumber(L, index));
    return 1;
  case LUA_TSTRING:
    text = lua_tolstring(L, index, &length);
    *value = neap_lstring(text, length);
    return 1;
  default: return 0;
  }
}

/* == Boxes ============================================================ */

void **np_box_new(lua_State *L, lua_CFunction gc) {
  void **box;
  luaL_checkstack(L, 5, NULL);
  box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, (void *)(uintptr_t)gc) !=
      LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, (void *)(uintptr_t)gc);
  }
  lua_setmetatable(L, -2);
  return box;
}

void np_box_find(lua_State *L, void **box, const char *what) {
  int i;
  luaL_checkstack(L, 5, NULL);
  for (i = lua_gettop(L); i > 0; i--) {
    if (lua_touserdata(L, i) != (void *)box) continue;
    lua_pushvalue(L, i);
    return;
  }
  np_error(L, "the %s has no object on the stack", what);
}
