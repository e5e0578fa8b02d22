/*
 * handle.c - things that open and close, all in one way.
 *
 * A handle is a module's struct and a Lua object, a box that points to it.
 * The struct is freed when three things are true: Lua has collected the box,
 * libuv has closed what was opened, and no request in flight has it pinned.
 * Whoever comes last frees.
 */
#include <stdio.h>
#include <string.h>

#include "async.h"
#include "error.h"
#include "limits.h"
#include "loop.h"

enum {
  CLOSED = 1, COLLECTED = 2, RELEASED = 4,
  UNBORN = 8, /* its module does not know it yet */
  LOST = 16   /* the host has closed what is libuv's, with all of its loop */
};

static void maybe_free(neap_Handle *h) {
  neap_Vm *vm = h->vm;
  if (!(h->state & COLLECTED) || h->uv != NULL || h->pins > 0 ||
      h->state & LOST)
    return;
  if (h->cls->release != NULL && !(h->state & (RELEASED | UNBORN))) {
    h->state |= RELEASED;
    h->cls->release(h);
  }
  if (h->prev != NULL) h->prev->next = h->next;
  else vm->handles = h->next;
  if (h->next != NULL) h->next->prev = h->prev;
  np_alloc(vm, h, h->size, 0);
}

static void on_closed(uv_handle_t *uv) {
  neap_Handle *h = uv->data;
  h->uv = NULL;
  h->vm->nhandles--;
  maybe_free(h);
}

void neap_handle_close(neap_Handle *h) {
  if (h->state & CLOSED) return;
  h->state |= CLOSED;
  h->vm->nopen--;
  if (h->kind != 0) h->vm->limits->kinds[h->kind - 1]--;
  if (h->uv != NULL && uv_is_closing((uv_handle_t *)h->uv)) {
    h->state |= LOST; /* its module may not touch it any more */
    h->uv = NULL;
  }
  if (h->cls->close != NULL && !(h->state & UNBORN)) h->cls->close(h);
  if (h->uv != NULL) uv_close((uv_handle_t *)h->uv, on_closed);
}

int neap_handle_closed(const neap_Handle *h) {
  return (h->state & CLOSED) != 0;
}

void neap_handle_opened(neap_Handle *h, void *uv) {
  h->uv = uv;
  ((uv_handle_t *)uv)->data = h;
  h->vm->nhandles++;
}

/* What the machine must wait for before it ends, like a handle. */
void neap_request_begin(neap_Vm *vm) { vm->nhandles++; }

void neap_request_end(neap_Vm *vm) { vm->nhandles--; }

void neap_handle_pin(neap_Handle *h) {
  h->pins++;
  neap_request_begin(h->vm);
}

void neap_handle_unpin(neap_Handle *h) {
  h->pins--;
  neap_request_end(h->vm);
  maybe_free(h);
}

/* == Objects ========================================================== */

/*
 * The userdata. That it is one, and of which class, is told by `key` and its
 * size, which takes a fifth of the time of looking at the metatable, and which
 * no debug.setmetatable can change. Nothing else has that key: it is taken out
 * before the memory is given back.
 */
typedef struct Box {
  neap_Handle *handle;
  uintptr_t key;
} Box;

static uintptr_t key_of(const neap_Handle *h, const neap_Class *cls) {
  return (uintptr_t)h ^ (uintptr_t)cls;
}

/* The user value that says, in debug mode, where it was opened. */
enum { SITE = 1 };

void *neap_handle_new(lua_State *L, size_t size, const neap_Class *cls) {
  neap_Vm *vm = np_vm(L);
  neap_Handle *h;
  Box *box;
  luaL_checkstack(L, 5, NULL);
  np_closing_check(L);
  if (vm->limits != NULL) np_limits_handle(L);
  box = lua_newuserdatauv(L, sizeof *box, vm->debug ? SITE : 0);
  *box = (Box){.handle = NULL};
  if (vm->debug) {
    np_position(L, L, 0);
    lua_setiuservalue(L, -2, SITE);
  }
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, cls) != LUA_TTABLE)
    luaL_error(L, "class %s is not registered", cls->name);
  np_push(L, vm, NP_R_HANDLES);
  h = np_alloc(vm, NULL, 0, size);
  if (h == NULL) luaL_error(L, "not enough memory");
  memset(h, 0, size);
  h->vm = vm;
  h->cls = cls;
  h->size = size;
  h->state = UNBORN;
  h->next = vm->handles;
  if (h->next != NULL) h->next->prev = h;
  vm->handles = h;
  vm->nopen++;
  *box = (Box){h, key_of(h, cls)};
  lua_insert(L, -2);
  lua_setmetatable(L, -3); /* from here on the box owns it */
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, h);
  lua_pop(L, 1);
  h->state = 0;
  return h;
}

/* The box at `index` if there is one and it is of the class. */
static Box *box_test(lua_State *L, int index, const neap_Class *cls) {
  Box *box = lua_touserdata(L, index);
  if (box == NULL || lua_rawlen(L, index) != sizeof *box ||
      box->key != key_of(box->handle, cls))
    return NULL;
  return box;
}

void *neap_handle_test(lua_State *L, int index, const neap_Class *cls) {
  Box *box = box_test(L, index, cls);
  return box != NULL ? box->handle : NULL;
}

/* The name of a class as people see it: without "neap.". */
static const char *shown(const neap_Class *cls) {
  return strncmp(cls->name, "neap.", 5) == 0 ? cls->name + 5 : cls->name;
}

/* Raises: the argument at `index` is no object of the class. The first one is
 * usually what a method is called on, and a dot was written for the colon. */
static void refuse(lua_State *L, int index, const neap_Class *cls) {
  const char *got = neap_typename(L, index);
  np_push_running(L);
  np_error(L, "bad argument #%d to '%s' (%s expected, got %s%s)", index,
           lua_tostring(L, -1), shown(cls), got,
           index == 1 ? "; is a ':' missing?" : "");
}

void *neap_handle_check(lua_State *L, int index, const neap_Class *cls) {
  neap_Handle *h = neap_handle_test(L, index, cls);
  if (h == NULL) {
    refuse(L, index, cls);
  } else if (h->state & CLOSED) {
    np_push_running(L);
    np_error(L, "%s: the %s is closed", lua_tostring(L, -1), shown(cls));
  }
  return h;
}

void neap_handle_push(lua_State *L, neap_Handle *h) {
  np_push(L, np_vm(L), NP_R_HANDLES);
  lua_rawgetp(L, -1, h);
  lua_remove(L, -2);
}

/* == Methods of every class =========================================== */

/* Upvalue 1 is the class. */
static neap_Handle *self(lua_State *L) {
  const neap_Class *cls = lua_touserdata(L, lua_upvalueindex(1));
  neap_Handle *h = neap_handle_test(L, 1, cls);
  if (h == NULL) refuse(L, 1, cls);
  return h;
}

static int handle_close(lua_State *L) {
  neap_handle_close(self(L));
  return 0;
}

static int handle_is_closed(lua_State *L) {
  lua_pushboolean(L, neap_handle_closed(self(L)));
  return 1;
}

/* Makes no string of Lua's, which might raise and leave the handle open. */
static void report_open(lua_State *L, neap_Handle *h) {
  char text[160];
  const char *where = NULL;
  if (lua_getiuservalue(L, 1, SITE) == LUA_TSTRING)
    where = lua_tostring(L, -1);
  snprintf(text, sizeof text, "a %s was collected while open%s%s",
           shown(h->cls), where != NULL ? "; it was opened at " : "",
           where != NULL ? where : "");
  np_report(h->vm, NEAP_REPORT_WARNING, text, NULL, NULL, where, NULL);
}

static int handle_gc(lua_State *L) {
  Box *box = box_test(L, 1, lua_touserdata(L, lua_upvalueindex(1)));
  neap_Handle *h;
  if (box == NULL) return 0;
  h = box->handle;
  *box = (Box){.handle = NULL};
  if (!(h->state & CLOSED)) {
    if (h->vm->debug && !h->vm->closing) report_open(L, h);
    neap_handle_close(h);
  }
  h->state |= COLLECTED;
  maybe_free(h);
  return 0;
}

static int handle_tostring(lua_State *L) {
  neap_Handle *h = self(L);
  if (neap_handle_closed(h)) lua_pushfstring(L, "%s (closed)", shown(h->cls));
  else lua_pushfstring(L, "%s: %p", shown(h->cls), (void *)h);
  return 1;
}

static void set_own(lua_State *L, const neap_Class *cls, lua_CFunction f,
                    const char *name) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)cls);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, name);
}

void neap_metatable_hide(lua_State *L) {
  static const char *const shown_fields[] = {"__name", "__index", "__await"};
  size_t i;
  luaL_checkstack(L, 5, NULL);
  lua_createtable(L, 0, 3);
  for (i = 0; i < sizeof shown_fields / sizeof *shown_fields; i++) {
    lua_getfield(L, -2, shown_fields[i]);
    lua_setfield(L, -2, shown_fields[i]);
  }
  lua_setfield(L, -2, "__metatable");
}

/* Moves a metamethod from the methods on top to the metatable below. */
static void move_metamethod(lua_State *L, const char *name) {
  if (lua_getfield(L, -1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_setfield(L, -3, name);
  lua_pushnil(L);
  lua_setfield(L, -2, name);
}

void neap_class_new(lua_State *L, const neap_Class *cls,
                    const struct luaL_Reg *methods,
                    const neap_Async *async) {
  luaL_checkstack(L, 10, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, cls) == LUA_TTABLE) {
    lua_getfield(L, -1, "__index");
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushstring(L, shown(cls));
  lua_setfield(L, -2, "__name");
  set_own(L, cls, handle_close, "__close");
  set_own(L, cls, handle_gc, "__gc");
  set_own(L, cls, handle_tostring, "__tostring");
  lua_newtable(L);
  set_own(L, cls, handle_close, "close");
  set_own(L, cls, handle_is_closed, "closed");
  if (methods != NULL) luaL_setfuncs(L, methods, 0);
  if (async != NULL) neap_setasync(L, async);
  move_metamethod(L, "__await");
  move_metamethod(L, "__concat");
  move_metamethod(L, "__tostring");
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_insert(L, -2);
  neap_metatable_hide(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, cls);
}

/* == The machine's side =============================================== */

/* What the host has closed is closed after a pass of the loop, and nobody
 * tells us. */
static void forget_lost(neap_Vm *vm) {
  neap_Handle *h, *next;
  for (h = vm->handles; h != NULL; h = next) {
    next = h->next;
    if (!(h->state & LOST)) continue;
    h->state &= (uint8_t)~LOST;
    vm->nhandles--;
    maybe_free(h);
  }
}

void np_handle_close_all(neap_Vm *vm) {
  neap_Handle *h, *next;
  for (h = vm->handles; h != NULL; h = next) {
    next = h->next; /* closing frees nothing at once that is in the list */
    neap_handle_close(h);
  }
}

void np_handle_wait(neap_Vm *vm) {
  np_loop_pass(vm, 0);
  forget_lost(vm);
  while (vm->nhandles > 0) np_loop_pass(vm, 1);
}

void np_handle_end(neap_Vm *vm) {
  neap_Handle *h, *next;
  np_handle_close_all(vm);
  for (h = vm->handles; h != NULL; h = h->next) h->state |= COLLECTED;
  if (vm->nhandles > 0) np_handle_wait(vm);
  for (h = vm->handles; h != NULL; h = next) {
    next = h->next;
    maybe_free(h);
  }
}

/* asyncio._handles() -> how many handles are open; for tests */
static int count_handles(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)np_vm(L)->nopen);
  return 1;
}

void np_handle_open(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  np_weak_push(L, "v");
  np_keep(L, vm, NP_R_HANDLES);
  np_push(L, vm, NP_R_ASYNCIO);
  lua_pushcfunction(L, count_handles);
  lua_setfield(L, -2, "_handles");
  lua_pop(L, 1);
}
