/*
 * load.c - from source text to functions: load, loadfile, dofile.
 *
 * Source that has neither word goes to Lua untouched. The rest is
 * translated and wrapped, so that the chunk's function has _ENV as its first
 * upvalue, as every chunk has, and the six functions behind the words after
 * it, out of reach of any name in the script.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "limits.h"
#include "permit.h"
#include "translate.h"

/* What the upvalues after _ENV are called, less the prefix. */
static const char *const words[] = {"call", "await", "method", "async",
                                    "nil", "return"};
static const int values[] = {NP_R_CALLS, NP_R_AWAIT, NP_R_METHOD,
                             NP_R_ASYNC, NP_R_NIL, NP_R_RETURN};
#define NWORDS ((int)(sizeof words / sizeof *words))

/* == Loading text ===================================================== */

/* Gives a loaded binary chunk, on top, the functions behind the words. */
static void mend_upvalues(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  const char *name;
  int i, w, count = 0, unnamed = 0;
  for (i = 1; (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
    lua_pop(L, 1);
    count++;
    if (strcmp(name, "(no name)") == 0) unnamed++;
    if (name[0] != '_') continue;
    for (w = 0; w < NWORDS; w++) {
      size_t n = strlen(name), k = strlen(words[w]);
      if (n < k + 2 || strcmp(name + n - k, words[w]) != 0 ||
          name[n - k - 1] != '_')
        continue;
      np_push(L, vm, values[w]);
      lua_setupvalue(L, -2, i);
    }
  }
  if (count != NWORDS + 1 || unnamed != count) return;
  for (w = 0; w < NWORDS; w++) { /* stripped: a whole chunk, by the order */
    np_push(L, vm, values[w]);
    lua_setupvalue(L, -2, w + 2);
  }
}

/* Marks the function on top as a main chunk, for tracebacks. */
static void mark_main(lua_State *L) {
  np_push(L, np_vm(L), NP_R_NAMES);
  lua_pushvalue(L, -2);
  lua_pushboolean(L, 0);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Compiles a balanced translation; pushes the function or a message. */
static int load_wrapped(lua_State *L, const np_Translation *t,
                        const char *name) {
  neap_Vm *vm = np_vm(L);
  size_t length;
  char *text = np_translate_wrap(t, &length);
  int w, status;
  if (text == NULL) {
    lua_pushliteral(L, "not enough memory");
    return LUA_ERRMEM;
  }
  status = luaL_loadbufferx(L, text, length, name, "t");
  free(text);
  if (status != LUA_OK) return status;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  for (w = 0; w < NWORDS; w++) np_push(L, vm, values[w]);
  status = lua_pcall(L, NWORDS + 1, 1, 0);
  if (status == LUA_OK) mark_main(L);
  return status;
}

static int load_translated(lua_State *L, const np_Translation *t,
                           const char *name) {
  int status;
  if (t->balanced) {
    status = load_wrapped(L, t, name);
    if (status != LUA_ERRSYNTAX) return status;
  }
  /* Without the wrapper the message is about the script alone. */
  status = luaL_loadbufferx(L, t->text, t->length, name, "t");
  if (status != LUA_OK) {
    if (t->balanced) lua_remove(L, -2);
    return status;
  }
  lua_pop(L, 1); /* only with the wrapper it is too much for Lua */
  if (!t->balanced) lua_pushliteral(L, "cannot translate this chunk");
  return LUA_ERRSYNTAX;
}

/* What is to be loaded, for a function that runs protected. */
typedef struct Load {
  np_Translation t;
  const char *name;
  int status;
} Load;

static int load_protected(lua_State *L) {
  Load *load = lua_touserdata(L, 1);
  luaL_checkstack(L, 20, NULL);
  load->status = load_translated(L, &load->t, load->name);
  return 1;
}

/* Loads a translation and frees it, even if memory runs out. */
static int load_and_free(lua_State *L, Load *load) {
  int status;
  lua_pushcfunction(L, load_protected);
  lua_pushlightuserdata(L, load);
  status = lua_pcall(L, 1, 1, 0);
  np_translation_free(&load->t);
  return status == LUA_OK ? load->status : status;
}

int neap_load(lua_State *L, const char *text, size_t length,
              const char *name, const char *mode) {
  Load load;
  luaL_checkstack(L, 20, NULL);
  if (length > 0 && text[0] == LUA_SIGNATURE[0]) {
    int status = luaL_loadbufferx(L, text, length, name, mode);
    if (status == LUA_OK) mend_upvalues(L);
    return status;
  }
  if (mode != NULL && strchr(mode, 't') == NULL)
    return luaL_loadbufferx(L, text, length, name, mode);
  if (np_translate(text, length, &load.t) < 0) {
    np_translation_free(&load.t);
    lua_pushliteral(L, "not enough memory");
    return LUA_ERRMEM;
  }
  load.name = name;
  if (load.t.text != NULL) return load_and_free(L, &load);
  np_translation_free(&load.t);
  return luaL_loadbufferx(L, text, length, name, mode);
}

/* The pieces of a lua_Reader, for a function that runs protected. */
typedef struct Reading {
  lua_Reader reader;
  void *data;
} Reading;

/* Runs protected: gives all that the reader at 1 has. */
static int read_all_pieces(lua_State *L) {
  Reading *r = lua_touserdata(L, 1);
  luaL_Buffer b;
  const char *piece;
  size_t n;
  luaL_buffinit(L, &b);
  while ((piece = r->reader(L, r->data, &n)) != NULL && n > 0)
    luaL_addlstring(&b, piece, n);
  luaL_pushresult(&b);
  return 1;
}

int neap_loadreader(lua_State *L, lua_Reader reader, void *data,
                    const char *name, const char *mode) {
  Reading r = {reader, data};
  const char *text;
  size_t length;
  int status;
  luaL_checkstack(L, 5, NULL);
  lua_pushcfunction(L, read_all_pieces);
  lua_pushlightuserdata(L, &r);
  status = lua_pcall(L, 1, 1, 0);
  if (status != LUA_OK) return status;
  text = lua_tolstring(L, -1, &length);
  status = neap_load(L, text, length, name, mode);
  lua_remove(L, -2);
  return status;
}

static int push_translated(lua_State *L) {
  np_Translation *t = lua_touserdata(L, 1);
  lua_pushlstring(L, t->text, t->length);
  return 1;
}

int neap_translate(lua_State *L, const char *text, size_t length,
                   const char *name) {
  np_Translation t;
  int status = neap_load(L, text, length, name, "t");
  if (status != LUA_OK) return status;
  lua_pop(L, 1);
  if (np_translate(text, length, &t) < 0) {
    np_translation_free(&t);
    return luaL_error(L, "not enough memory");
  }
  if (t.text == NULL) {
    lua_pushlstring(L, text, length);
    return LUA_OK;
  }
  lua_pushcfunction(L, push_translated);
  lua_pushlightuserdata(L, &t);
  status = lua_pcall(L, 1, 1, 0);
  np_translation_free(&t);
  return status == LUA_OK ? LUA_OK : lua_error(L);
}

/* == Loading files ==================================================== */

/* Runs protected: gives all that is in the file at 1. */
static int read_file(lua_State *L) {
  FILE *file = lua_touserdata(L, 1);
  luaL_Buffer b;
  size_t n;
  luaL_buffinit(L, &b);
  do {
    char *space = luaL_prepbuffer(&b);
    n = fread(space, 1, LUAL_BUFFERSIZE, file);
    luaL_addsize(&b, n);
  } while (n > 0);
  luaL_pushresult(&b);
  return 1;
}

/* A pinned path is one that a sandbox has permitted. */
static FILE *open_file(const char *filename, int pinned) {
  char text[NEAP_PIN_SIZE];
  int directory = UV_ENOTSUP, fd, err;
  if (pinned) directory = neap_permit_pin(filename, 0, text, sizeof text);
  if (directory == UV_ENOTSUP) return fopen(filename, "rb");
  errno = directory < 0 ? -directory : 0;
  if (directory < 0) return NULL;
  fd = open(text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  err = errno;
  (void)close(directory);
  errno = err;
  return fd < 0 ? NULL : fdopen(fd, "rb");
}

/* Pushes the contents of the file, or a message and gives -1. */
static int read_all(lua_State *L, const char *filename, int pinned) {
  FILE *file = filename == NULL ? stdin : open_file(filename, pinned);
  const char *shown = filename == NULL ? "stdin" : filename;
  int status, err;
  if (file == NULL) {
    lua_pushfstring(L, "cannot open %s: %s", shown, strerror(errno));
    return -1;
  }
  lua_pushcfunction(L, read_file);
  lua_pushlightuserdata(L, file);
  status = lua_pcall(L, 1, 1, 0);
  err = ferror(file) ? errno : 0;
  if (filename != NULL) (void)fclose(file); /* it was only read */
  if (status != LUA_OK) return -1;
  if (err == 0) return 0;
  lua_pop(L, 1);
  lua_pushfstring(L, "cannot read %s: %s", shown, strerror(err));
  return -1;
}

/*
 * Skips a byte order mark and a first line that begins with '#': gives where
 * the chunk begins. For text that is the line's end, so that lines keep
 * their numbers.
 */
static const char *skip_first_line(const char *text, size_t length) {
  const char *end = text + length, *at = text;
  if (length >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) at += 3;
  if (at == end || *at != '#') return at;
  while (at < end && *at != '\n') at++;
  if (end - at > 1 && at[1] == LUA_SIGNATURE[0]) at++;
  return at;
}

static int load_file(lua_State *L, const char *filename, const char *mode,
                     int pinned) {
  const char *text, *at;
  size_t length;
  int status;
  luaL_checkstack(L, 10, NULL);
  if (filename == NULL) lua_pushliteral(L, "=stdin");
  else lua_pushfstring(L, "@%s", filename);
  if (read_all(L, filename, pinned) < 0) {
    lua_remove(L, -2);
    return LUA_ERRFILE;
  }
  text = lua_tolstring(L, -1, &length);
  at = skip_first_line(text, length);
  status = neap_load(L, at, length - (size_t)(at - text),
                     lua_tostring(L, -2), mode);
  if (filename != NULL) np_quote_file(L, filename);
  else neap_keep_source(L, "stdin", text, length);
  lua_replace(L, -3);
  lua_pop(L, 1);
  return status;
}

int neap_loadfile(lua_State *L, const char *filename, const char *mode) {
  return load_file(L, filename, mode, 0);
}

int np_loadfile(lua_State *L, const char *filename, const char *mode) {
  return load_file(L, filename, mode, np_vm(L)->sandbox != NULL);
}

/* == load, loadfile, dofile =========================================== */

/* Ends load and loadfile: the environment is at `env` unless 0. */
static int load_result(lua_State *L, int status, int env) {
  if (status != LUA_OK) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (env != 0) {
    lua_pushvalue(L, env);
    if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
  }
  return 1;
}

/* Raises it with the position of the one who called load. */
static int reader_mistake(lua_State *L) {
  luaL_where(L, 2);
  lua_pushliteral(L, "reader function must return a string");
  lua_concat(L, 2);
  return lua_error(L);
}

/* Runs protected: calls the reader at 1 till its end, gives all it gave. */
static int read_pieces(lua_State *L) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (;;) {
    size_t n;
    lua_pushvalue(L, 1);
    lua_call(L, 0, 1);
    if (lua_isnil(L, -1)) break;
    if (!lua_isstring(L, -1))
      return reader_mistake(L);
    (void)lua_tolstring(L, -1, &n);
    if (n == 0) break;
    neap_charge(L, 10);
    luaL_addvalue(&b);
  }
  lua_pop(L, 1);
  luaL_pushresult(&b);
  return 1;
}

const char *np_load_mode(lua_State *L, const char *mode) {
  if (np_vm(L)->sandbox == NULL) return mode;
  return mode == NULL || strchr(mode, 't') != NULL ? "t" : "";
}

/* Checks that a script may load the file whose name is at 1. */
static const char *check_file(lua_State *L, const char *what) {
  if (np_vm(L)->sandbox == NULL) return luaL_optstring(L, 1, NULL);
  if (!lua_isnoneornil(L, 1))
    return neap_permit_path(L, 1, NEAP_MAY_READ, what);
  neap_permit(L, NEAP_MAY_PROCESS, what, NULL); /* standard input */
  return NULL;
}

/* load(chunk [, name [, mode [, env]]]) */
static int base_load(lua_State *L) {
  const char *mode = luaL_optstring(L, 3, "bt");
  int env = lua_isnone(L, 4) ? 0 : 4, status;
  const char *name, *text;
  size_t length;
  if (lua_tostring(L, 1) != NULL) {
    name = luaL_optstring(L, 2, lua_tostring(L, 1));
    if (np_is_half(name)) name = "=(load)"; /* that name would be a lie */
    lua_settop(L, 4);
    lua_pushvalue(L, 1);
  } else {
    name = luaL_optstring(L, 2, "=(load)");
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 4);
    lua_pushcfunction(L, read_pieces);
    lua_pushvalue(L, 1);
    status = lua_pcall(L, 1, 1, 0);
    if (status != LUA_OK) {
      if (np_is_own(L, -1)) return lua_error(L);
      return load_result(L, status, 0);
    }
  }
  text = lua_tolstring(L, 5, &length);
  neap_charge(L, length / 4);
  mode = np_load_mode(L, mode);
  return load_result(L, neap_load(L, text, length, name, mode), env);
}

/* loadfile([name [, mode [, env]]]) */
static int base_loadfile(lua_State *L) {
  const char *filename = check_file(L, "loadfile");
  const char *mode = np_load_mode(L, luaL_optstring(L, 2, NULL));
  int env = lua_isnone(L, 3) ? 0 : 3;
  return load_result(L, np_loadfile(L, filename, mode), env);
}

static int dofile_end(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L) - 1;
}

/* dofile([name]) */
static int base_dofile(lua_State *L) {
  const char *filename = check_file(L, "dofile");
  lua_settop(L, 1);
  if (np_loadfile(L, filename, np_load_mode(L, NULL)) != LUA_OK)
    return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 0, dofile_end);
  return dofile_end(L, LUA_OK, 0);
}

int np_load_yields(lua_CFunction f) {
  return f == base_dofile || f == read_pieces;
}

void np_load_open(lua_State *L) {
  lua_pushcfunction(L, base_load);
  lua_setglobal(L, "load");
  lua_pushcfunction(L, base_loadfile);
  lua_setglobal(L, "loadfile");
  lua_pushcfunction(L, base_dofile);
  lua_setglobal(L, "dofile");
}
