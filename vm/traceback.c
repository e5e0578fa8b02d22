/*
 * traceback.c - where the script is: positions and tracebacks.
 *
 * A position is always the script's: frames of the machine and of the standard
 * library's Lua halves are passed over. A traceback has one line for all that
 * the library does between two lines of the script, and in debug mode a line
 * for each of its frames; it names functions as well as can be known.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "async.h"
#include "error.h"
#include "future.h"
#include "limits.h"
#include "task.h"

#define MAX_FRAMES 30 /* of a traceback; deeper ones lose their middle */

/* == Positions ======================================================== */

int np_is_half(const char *source) {
  return strncmp(source, "=stdlib/", 8) == 0;
}

int np_is_script(const lua_Debug *ar) {
  return ar->currentline > 0 && !np_internal(ar->source) &&
         !np_is_half(ar->source);
}

/* np_script_line, for one coroutine */
static int line_in(lua_State *L1, int level, lua_Debug *ar) {
  for (; lua_getstack(L1, level, ar); level++) {
    lua_getinfo(L1, "Sl", ar);
    if (np_is_script(ar)) return 1;
  }
  return 0;
}

int np_script_line(lua_State *L, int level, lua_Debug *ar) {
  neap_Vm *vm = np_vm(L);
  const np_Resume *up = L == vm->running ? vm->resumes : NULL;
  if (line_in(L, level, ar)) return 1;
  for (; up != NULL; up = up->prev)
    if (line_in(up->from, 0, ar)) return 1;
  return 0;
}

int np_in_script(lua_State *L) {
  lua_Debug ar;
  return np_script_line(L, 1, &ar);
}

/* If no line is the script's, not even in those that resumed the coroutine,
 * gives the one that made the task, which does nothing but run a function of
 * the library; of the main task there is none. */
void np_position(lua_State *L, lua_State *L1, int level) {
  const neap_Task *t = np_vm(L)->current;
  lua_Debug ar;
  if (np_script_line(L1, level, &ar))
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
  else if (L1 == L && t != NULL && t->source != 0)
    np_site_push(L, t->line, t->source);
  else
    lua_pushnil(L);
}

void np_where(lua_State *L, int level) {
  np_position(L, L, level);
  if (lua_isnil(L, -1))
    lua_pushliteral(L, "");
  else
    lua_pushfstring(L, "%s: ", lua_tostring(L, -1));
  lua_replace(L, -2);
}

/* The machine's, between a call and its await; the function is on top. */
static int is_between(lua_State *L, const lua_Debug *ar) {
  return np_internal(ar->source) || np_is_word(lua_tocfunction(L, -1));
}

void np_where_called(lua_State *L, int level) {
  lua_Debug ar;
  int i, between, found = 0;
  if (!lua_getstack(L, level, &ar)) level = 0; /* nobody's, and far to go */
  for (i = 1; !found && level > 0 && lua_getstack(L, i, &ar); i++) {
    lua_getinfo(L, "Slf", &ar);
    between = is_between(L, &ar);
    lua_pop(L, 1);
    if (!between) found = --level == 0;
  }
  if (found && np_is_half(ar.source))
    np_where(L, i);
  else if (found && ar.currentline > 0)
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
  else
    lua_pushliteral(L, "");
}

/* The text behind the position of a Lua half with which `message` begins;
 * NULL if it does not. */
static const char *behind_half(const char *message) {
  if (strncmp(message, "stdlib/", 7) != 0) return NULL;
  message = strchr(message, ':');
  if (message == NULL || !isdigit((unsigned char)message[1])) return NULL;
  message += 1 + strspn(message + 1, "0123456789");
  return strncmp(message, ": ", 2) == 0 ? message + 2 : NULL;
}

/* Tells whether the frame is of a method whose `self` is no object; `type`
 * gets the type of what it is. A function that the half itself has called by
 * the name of a variable is none. */
static int has_bad_self(lua_State *L1, lua_Debug *ar, int *type) {
  const char *name;
  int is_object;
  lua_getinfo(L1, "n", ar);
  if (strcmp(ar->namewhat, "local") == 0 ||
      strcmp(ar->namewhat, "upvalue") == 0)
    return 0;
  name = lua_getlocal(L1, ar, 1);
  if (name == NULL) return 0;
  *type = lua_type(L1, -1);
  is_object = (*type == LUA_TTABLE || *type == LUA_TUSERDATA) &&
              lua_getmetatable(L1, -1);
  lua_pop(L1, is_object ? 2 : 1);
  return strcmp(name, "self") == 0 && !is_object;
}

/* Pushes what is wrong with the call of the method in the frame. */
static void push_bad_self(lua_State *L, lua_State *L1, lua_Debug *ar,
                          int type) {
  const char *name, *last;
  np_push(L, np_vm(L), NP_R_NAMES);
  lua_getinfo(L1, "nf", ar);
  if (L1 != L) lua_xmove(L1, L, 1);
  name = lua_rawget(L, -2) == LUA_TSTRING ? lua_tostring(L, -1) : ar->name;
  last = name != NULL ? strpbrk(name, ":.") : NULL;
  if (name != NULL)
    lua_pushfstring(L, "'%s'", last != NULL ? last + 1 : name);
  else
    lua_pushliteral(L, "a method");
  lua_pushfstring(L, "calling %s on bad self (a %s value): did you write "
                  "'.' for ':'?", lua_tostring(L, -1), lua_typename(L, type));
}

void np_blame_caller(lua_State *L, lua_State *L1, int level) {
  int top = lua_gettop(L), half = -1, bad = 0, type = LUA_TNONE;
  const char *text;
  lua_Debug ar;
  if (lua_type(L, top) != LUA_TSTRING) return;
  text = behind_half(lua_tostring(L, top));
  if (text == NULL || !lua_checkstack(L, 10) || !lua_checkstack(L1, 10))
    return;
  for (; lua_getstack(L1, level, &ar); level++) {
    int is_bad, given;
    lua_getinfo(L1, "Sl", &ar);
    if (np_is_script(&ar)) break;
    if (!np_is_half(ar.source)) continue;
    is_bad = has_bad_self(L1, &ar, &given);
    if (is_bad || !bad) half = level;
    if (is_bad) type = given;
    bad |= is_bad;
  }
  if (half < 0) return;
  np_position(L, L1, half);
  lua_pushstring(L, text);
  if (bad && lua_getstack(L1, half, &ar)) push_bad_self(L, L1, &ar, type);
  if (lua_isstring(L, top + 1)) {
    lua_pushfstring(L, "%s: %s", lua_tostring(L, top + 1),
                    lua_tostring(L, -1));
    lua_replace(L, top);
  }
  lua_settop(L, top);
}

int np_blame(lua_State *L) {
  lua_settop(L, 1);
  np_blame_caller(L, L, 1);
  return 1;
}

/* == Tracebacks ======================================================= */

/* The module's name as scripts have it, "net", from the one at `index`; NULL
 * for what is only part of a module of ours. */
static const char *module_name(lua_State *L, int index) {
  const char *name;
  if (lua_type(L, index) != LUA_TSTRING) return NULL;
  name = lua_tostring(L, index);
  if (strncmp(name, "neap.", 5) != 0) return name;
  return strchr(name + 5, '.') == NULL ? name + 5 : NULL;
}

/* Pushes the name under which package.loaded has the function on top, as
 * scripts have it ("asyncio.gather"), and returns 1; or 0, and nothing is
 * pushed. */
static int search_loaded(lua_State *L) {
  int f = lua_gettop(L), found = 0;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushnil(L);
  while (!found && lua_next(L, f + 1) != 0) {
    const char *module = module_name(L, f + 2);
    if (module != NULL && lua_istable(L, f + 3)) {
      lua_pushnil(L);
      while (lua_next(L, f + 3) != 0) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, f)) {
          if (strcmp(module, LUA_GNAME) == 0)
            lua_pushvalue(L, -2);
          else
            lua_pushfstring(L, "%s.%s", module, lua_tostring(L, -2));
          found = 1;
          break;
        }
        lua_pop(L, 1);
      }
    }
    if (!found) lua_settop(L, f + 2);
  }
  if (found) {
    lua_replace(L, f + 1);
    lua_settop(L, f + 1);
  } else {
    lua_settop(L, f);
  }
  return found;
}

void np_library_make(lua_State *L) {
  np_weak_push(L, "k");
  np_keep(L, np_vm(L), NP_R_LIBRARY);
}

/* The same, but it searches once for each function. */
static int library_name(lua_State *L) {
  int f = lua_gettop(L);
  np_push_made(L, np_vm(L), NP_R_LIBRARY);
  lua_pushvalue(L, f);
  if (lua_rawget(L, f + 1) == LUA_TNIL) {
    lua_pushvalue(L, f);
    if (!search_loaded(L)) lua_pushboolean(L, 0);
    lua_replace(L, f + 2);
    lua_settop(L, f + 2);
    lua_pushvalue(L, f);
    lua_pushvalue(L, f + 2);
    lua_rawset(L, f + 1);
  }
  if (lua_toboolean(L, f + 2)) {
    lua_replace(L, f + 1);
    return 1;
  }
  lua_settop(L, f);
  return 0;
}

/*
 * Fills `ar` and pushes the function of the frame. The name by which the
 * prelude calls a function is nobody's: it is left out, and 1 returned.
 */
static int frame_get(lua_State *L1, int level, lua_Debug *ar) {
  lua_Debug caller;
  lua_getinfo(L1, "Slntf", ar);
  if (*ar->namewhat == '\0' || !lua_getstack(L1, level + 1, &caller)) return 0;
  lua_getinfo(L1, "S", &caller);
  if (!np_internal(caller.source)) return 0;
  ar->namewhat = "";
  return 1;
}

/* 1 if `ar` has a name of the function that tells something. */
static int is_named(const lua_Debug *ar) {
  return *ar->namewhat != '\0' &&
         (strcmp(ar->name, "?") != 0 || strcmp(ar->namewhat, "hook") == 0);
}

/* Tells whether package.loaded may have the function: one in C, or one of a
 * half that somebody has called. */
static int may_be_loaded(const lua_Debug *ar) {
  return *ar->what == 'C' ||
         (np_is_half(ar->source) && (is_named(ar) || ar->istailcall));
}

/* Pushes what the function on top is however it is called, and returns 1; or
 * 0, and nothing is pushed. */
static int known_name(lua_State *L, const lua_Debug *ar) {
  int f = lua_gettop(L);
  np_push(L, np_vm(L), NP_R_NAMES);
  lua_pushvalue(L, f);
  lua_rawget(L, f + 1);
  if (lua_type(L, -1) == LUA_TSTRING)
    lua_pushfstring(L, "async function '%s'", lua_tostring(L, -1));
  else if (*ar->what == 'm' || lua_isboolean(L, -1))
    lua_pushliteral(L, "main chunk");
  else if (lua_settop(L, f), may_be_loaded(ar) && library_name(L))
    lua_pushfstring(L, "function '%s'", lua_tostring(L, -1));
  else
    return 0;
  lua_replace(L, f + 1);
  lua_settop(L, f + 1);
  return 1;
}

/* Adds "in ..." for the frame, whose function is on top. */
static void frame_name(lua_State *L, const lua_Debug *ar) {
  if (known_name(L, ar)) return;
  if (strcmp(ar->namewhat, "global") == 0)
    lua_pushfstring(L, "function '%s'", ar->name);
  else if (is_named(ar))
    lua_pushfstring(L, "%s '%s'", ar->namewhat, ar->name);
  else if (*ar->what != 'C')
    lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
  else
    lua_pushliteral(L, "?");
}

/* Replaces the frame's function, which is on top, by its line. */
static void frame_line(lua_State *L, const lua_Debug *ar) {
  int top = lua_gettop(L);
  frame_name(L, ar);
  if (ar->currentline > 0)
    lua_pushfstring(L, "\n\t%s:%d: in %s", ar->short_src, ar->currentline,
                    lua_tostring(L, -1));
  else
    lua_pushfstring(L, "\n\t%s: in %s", ar->short_src, lua_tostring(L, -1));
  lua_replace(L, top);
  lua_settop(L, top);
}

void np_function_name(lua_State *L, const lua_Debug *ar) {
  if (library_name(L)) return;
  lua_pushstring(L, ar->name != NULL ? ar->name : "?");
}

/* 1 if the frame is the machine's own, or of what checks the arguments of a
 * module's functions. The function is on top. */
static int frame_hidden(lua_State *L, const lua_Debug *ar) {
  lua_CFunction f = lua_tocfunction(L, -1);
  return is_between(L, ar) || f == np_task_main ||
         f == np_future_await || f == np_coro_body ||
         f == np_base_misuse ||
         strncmp(ar->source, "=stdlib/arguments/", 18) == 0;
}

static int count_levels(lua_State *L1) {
  lua_Debug ar;
  int low = 0, high = 1;
  while (lua_getstack(L1, high, &ar)) {
    low = high;
    high *= 2;
  }
  while (low < high) {
    int middle = (low + high) / 2;
    if (lua_getstack(L1, middle, &ar))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Adds the frame, unless it is hidden. */
static void add_frame(lua_State *L, lua_State *L1, int level,
                      luaL_Buffer *b) {
  lua_Debug ar;
  lua_getstack(L1, level, &ar);
  frame_get(L1, level, &ar);
  if (L1 != L) lua_xmove(L1, L, 1);
  if (frame_hidden(L, &ar)) {
    lua_pop(L, 1);
    return;
  }
  frame_line(L, &ar);
  luaL_addvalue(b);
  if (ar.istailcall) luaL_addstring(b, "\n\t(...tail calls...)");
}

/* Adds the frame of a half that the script has called, as if it were in C; or
 * nothing if it has no name that says what was called. */
static void add_half(lua_State *L, lua_State *L1, int level, luaL_Buffer *b) {
  lua_Debug ar;
  int known;
  lua_getstack(L1, level, &ar);
  frame_get(L1, level, &ar);
  if (L1 != L) lua_xmove(L1, L, 1);
  known = known_name(L, &ar);
  if (known) lua_pop(L, 1);
  if ((!known && !is_named(&ar)) || frame_hidden(L, &ar)) {
    lua_pop(L, 1);
    return;
  }
  ar.currentline = -1;
  (void)snprintf(ar.short_src, sizeof ar.short_src, "[neap]");
  frame_line(L, &ar);
  luaL_addvalue(b);
  if (ar.istailcall) luaL_addstring(b, "\n\t(...tail calls...)");
}

/* The frames between two lines of the script. */
typedef struct Run {
  int first; /* their level */
  int half;  /* the last one that is a half's, or -1 */
} Run;

/* Adds the run, which ends before `level`: of what the library does, only what
 * the script has called; of what is in C and calls it or no half, all. */
static void add_run(lua_State *L, lua_State *L1, const Run *run, int level,
                    luaL_Buffer *b) {
  int at = run->first;
  if (run->half >= 0) {
    add_half(L, L1, run->half, b);
    at = run->half + 1;
  }
  for (; at < level; at++) add_frame(L, L1, at, b);
}

/* Adds the frames of L1, below those of a coroutine that it resumes. */
static void add_frames(lua_State *L, lua_State *L1, int level,
                       luaL_Buffer *b) {
  lua_Debug ar;
  lua_State *inside;
  int levels = count_levels(L1), skip = levels, all = np_vm(L)->debug;
  Run run = {level, -1};
  if (levels - level > MAX_FRAMES) skip = level + MAX_FRAMES / 2;
  if (!lua_checkstack(L1, 10)) {
    luaL_addstring(b, "\n\t(no room)");
    return;
  }
  inside = L1 != L ? np_coro_resumed(L1) : NULL;
  if (inside != NULL) add_frames(L, inside, inside == L ? level : 0, b);
  if (inside != NULL) run.first = level = 0;
  for (; lua_getstack(L1, level, &ar); level++) {
    if (level == skip) {
      add_run(L, L1, &run, level, b);
      level = levels - MAX_FRAMES / 2;
      lua_pushfstring(L, "\n\t...\t(skipping %d levels)", level - skip);
      luaL_addvalue(b);
      lua_getstack(L1, level, &ar);
      run = (Run){level, -1};
      skip = -1;
    }
    lua_getinfo(L1, "Sl", &ar);
    if (np_is_half(ar.source) && !all) run.half = level;
    if (!all && !np_is_script(&ar)) continue;
    add_run(L, L1, &run, level + 1, b);
    run = (Run){level + 1, -1};
  }
  add_run(L, L1, &run, level, b);
}

void np_traceback(lua_State *L, lua_State *L1, int level) {
  luaL_Buffer b;
  luaL_checkstack(L, 20, NULL);
  if (np_hooked(np_vm(L))) np_look_soon(np_vm(L), 1000); /* takes its time */
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "stack traceback:");
  add_frames(L, L1, level, &b);
  luaL_pushresult(&b);
}

/* == The traceback of the debug library ================================ */

/*
 * Pushes the line of the frame: that which Lua has written, of `n` bytes, or
 * ours where we know more. Pushes nothing and returns 0 for what lies between
 * a call and its await, or below a coroutine's function; and returns 2 if the
 * tail call that led to it may be that of a handler's guard.
 */
static int push_line(lua_State *L, lua_State *L1, int level,
                     const char *line, size_t n) {
  lua_Debug ar;
  int known, hidden, type;
  if (!lua_getstack(L1, level, &ar)) return 0;
  if (!lua_checkstack(L1, 4)) {
    lua_pushlstring(L, line, n);
    return 1;
  }
  known = frame_get(L1, level, &ar);
  if (L1 != L) lua_xmove(L1, L, 1);
  hidden = is_between(L, &ar) || lua_tocfunction(L, -1) == np_coro_body;
  np_push(L, np_vm(L), NP_R_NAMES);
  lua_pushvalue(L, -2);
  type = lua_rawget(L, -2);
  lua_pop(L, 2);
  if (type == LUA_TSTRING || *ar.what == 'C') known = 1;
  if (type == LUA_TBOOLEAN && *ar.namewhat == '\0') known = 1;
  if (known) {
    frame_line(L, &ar);
  } else {
    lua_pop(L, 1);
    lua_pushlstring(L, line, n);
  }
  if (hidden) lua_pop(L, 1);
  if (hidden) return 0;
  return type == LUA_TNUMBER && *ar.namewhat == '\0' ? 2 : 1;
}

/* The other lines say "(...tail calls...)" and "...	(skipping 9 levels)". */
static int is_frame(const char *line) {
  return strncmp(line, "\n\t...\t", 6) != 0 &&
         strncmp(line, "\n\t(...", 6) != 0;
}

static int count_frames(const char *text) {
  int n = 0;
  for (; text != NULL && *text != '\0'; text = strstr(text + 1, "\n\t"))
    n += is_frame(text);
  return n;
}

static void add_lines(lua_State *L, lua_State *L1, int level, luaL_Buffer *b,
                      const char *text) {
  const char *next;
  int shown = 1;
  for (; *text != '\0'; text = next) {
    next = strstr(text + 1, "\n\t");
    if (next == NULL) next = text + strlen(text);
    if (is_frame(text)) {
      shown = push_line(L, L1, level++, text, (size_t)(next - text));
      if (shown) luaL_addvalue(b);
      continue;
    }
    if (text[2] == '.') level = count_levels(L1) - count_frames(next);
    if (shown == 1 || text[2] == '.')
      luaL_addlstring(b, text, (size_t)(next - text));
  }
}

void np_traceback_lua(lua_State *L, lua_State *L1, const char *message,
                      int level) {
  static const char title[] = "stack traceback:";
  luaL_Buffer b;
  const char *text;
  if (np_hooked(np_vm(L))) np_look_soon(np_vm(L), 1000); /* takes its time */
  luaL_traceback(L, L1, NULL, level);
  text = lua_tostring(L, -1);
  luaL_buffinit(L, &b);
  if (message != NULL) {
    luaL_addstring(&b, message);
    luaL_addchar(&b, '\n');
  }
  luaL_addstring(&b, title);
  add_lines(L, L1, level, &b, text + sizeof title - 1);
  luaL_pushresult(&b);
  lua_remove(L, -2);
}
