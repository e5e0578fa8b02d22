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
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "limits.h"
#include "load.h"
#include "permit.h"
#include "task.h"
#include "translate.h"

/* What the upvalues after _ENV are called, less the prefix. */
static const char *const words[] = {"call", "await", "method", "async",
                                    "nil", "return"};
static const int values[] = {NP_R_CALLS, NP_R_AWAIT, NP_R_METHOD,
                             NP_R_ASYNC, NP_R_NIL, NP_R_RETURN};
#define NWORDS ((int)(sizeof words / sizeof *words))

/* == Loading text ===================================================== */

/* Which of the words the upvalue `name` is behind, or NWORDS. */
static int word_of(const char *name) {
  size_t n = strlen(name);
  int w;
  for (w = 0; w < NWORDS && name[0] == '_'; w++) {
    size_t k = strlen(words[w]);
    if (n >= k + 2 && strcmp(name + n - k, words[w]) == 0 &&
        name[n - k - 1] == '_')
      return w;
  }
  return NWORDS;
}

/*
 * Which upvalue of the function on top is its environment, or 0: the first, as
 * in Lua, if that is not behind a word, as in an inner function that was
 * dumped.
 */
static int env_place(lua_State *L) {
  const char *name = lua_getupvalue(L, -1, 1);
  int i;
  if (name == NULL) return 0;
  lua_pop(L, 1);
  if (word_of(name) == NWORDS) return 1;
  for (i = 2; (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
    lua_pop(L, 1);
    if (strcmp(name, "_ENV") == 0) return i;
  }
  return 0;
}

/* Gives a loaded binary chunk, on top, the functions behind the words. */
static void mend_upvalues(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  const char *name;
  int i, w, env = env_place(L), count = 0, unnamed = 0;
  for (i = 1; (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
    lua_pop(L, 1);
    count++;
    if (strcmp(name, "(no name)") == 0) unnamed++;
    w = word_of(name);
    if (w == NWORDS) continue;
    np_push(L, vm, values[w]);
    lua_setupvalue(L, -2, i);
  }
  if (env > 1) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_setupvalue(L, -2, env);
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

static int may_be_text(const char *mode) {
  return mode == NULL || strchr(mode, 't') != NULL;
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
  if (!may_be_text(mode))
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

/* == Loading what comes in pieces ===================================== */

/*
 * Lua reads the pieces as they come, so that it stops where it always does:
 * at the first mistake. They are kept, for when one of the words is seen all
 * of the text is needed: Lua is told that it has ended, the rest is read, and
 * what Lua made of the beginning is dropped.
 */
typedef struct Pieces {
  lua_Reader reader;
  void *data;
  const char *mode;
  int table;        /* index of those that were read */
  lua_Integer count;
  int is_text, word_seen;
  char seam[8];     /* the last bytes that were read, */
  size_t seam_size; /* not more than a word less one */
} Pieces;

/* 1 if one of the words may lie where the last piece and this one meet, which
 * then stand together in `seam`. */
static int in_seam(const Pieces *p) {
  size_t i;
  for (i = 0; i + 5 <= p->seam_size; i++)
    if (memcmp(p->seam + i, "async", 5) == 0 ||
        memcmp(p->seam + i, "await", 5) == 0)
      return 1;
  return 0;
}

static void look_for_words(Pieces *p, const char *piece, size_t n) {
  size_t taken = n < 4 ? n : 4;
  memcpy(p->seam + p->seam_size, piece, taken);
  p->seam_size += taken;
  if (in_seam(p) || np_translate_mentions(piece, n)) p->word_seen = 1;
  if (n > 4) {
    memcpy(p->seam, piece + n - 4, 4);
    p->seam_size = 4;
  } else if (p->seam_size > 4) {
    memmove(p->seam, p->seam + p->seam_size - 4, 4);
    p->seam_size = 4;
  }
}

static const char *next_piece(lua_State *L, Pieces *p, size_t *n) {
  const char *piece = p->reader(L, p->data, n);
  if (piece == NULL || *n == 0) return NULL;
  if (p->count == 0)
    p->is_text = piece[0] != LUA_SIGNATURE[0] && may_be_text(p->mode);
  if (!p->is_text) {
    p->count = 1;
    return piece;
  }
  lua_pushlstring(L, piece, *n);
  lua_rawseti(L, p->table, ++p->count);
  if (!p->word_seen) look_for_words(p, piece, *n);
  return piece;
}

/* A lua_Reader that runs inside of lua_load. */
static const char *read_piece(lua_State *L, void *data, size_t *n) {
  Pieces *p = data;
  const char *piece = p->word_seen ? NULL : next_piece(L, p, n);
  if (p->word_seen && piece != NULL) {
    while (next_piece(L, p, n) != NULL) continue;
    piece = NULL;
  }
  if (piece == NULL) *n = 0;
  return piece;
}

/* Runs protected: joins the strings in the table at 1. */
static int join(lua_State *L) {
  luaL_Buffer b;
  lua_Integer i, n = luaL_len(L, 1);
  luaL_buffinit(L, &b);
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return 1;
}

static int push_joined(lua_State *L, int table) {
  lua_pushcfunction(L, join);
  lua_pushvalue(L, table);
  return lua_pcall(L, 1, 1, 0);
}

/* Pushes the function or a message. The table is at p->table. */
static int load_pieces(lua_State *L, Pieces *p, const char *name) {
  const char *text;
  size_t length;
  int status = lua_load(L, read_piece, p, name, p->mode);
  if (!p->word_seen || (status != LUA_OK && status != LUA_ERRSYNTAX)) {
    if (status == LUA_OK && !p->is_text) mend_upvalues(L);
    return status;
  }
  lua_pop(L, 1);
  status = push_joined(L, p->table);
  if (status != LUA_OK) return status;
  text = lua_tolstring(L, -1, &length);
  status = neap_load(L, text, length, name, p->mode);
  lua_remove(L, -2);
  return status;
}

int neap_loadreader(lua_State *L, lua_Reader reader, void *data,
                    const char *name, const char *mode) {
  Pieces p = {.reader = reader, .data = data, .mode = mode};
  int status;
  luaL_checkstack(L, 20, NULL);
  lua_newtable(L);
  p.table = lua_gettop(L);
  status = load_pieces(L, &p, name);
  lua_remove(L, p.table);
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

/* A file that is being read. */
typedef struct Source {
  FILE *file;
  int err;
  int table;  /* index of what anchors the room: its 0th entry */
  size_t size;
  char *text; /* room for `size` bytes */
} Source;

/* Makes room for all of a regular file, for it ends; else for a block. */
static void make_room(lua_State *L, Source *s) {
  enum { BLOCK = 8192, MOST = 16 << 20 };
  struct stat info;
  s->size = BLOCK;
  if (fstat(fileno(s->file), &info) == 0 && S_ISREG(info.st_mode))
    s->size += (size_t)(info.st_size < MOST ? info.st_size : MOST);
  s->text = lua_newuserdatauv(L, s->size, 0);
  lua_rawseti(L, s->table, 0);
}

/*
 * Skips a byte order mark and a first line that begins with '#', and gives how
 * much is in `text` then. Before text that is the line's end, so that lines
 * keep their numbers.
 */
static size_t begin_file(Source *s) {
  static const char mark[] = "\xEF\xBB\xBF";
  size_t n = 0;
  int c = getc(s->file);
  while (n < 3 && c == (unsigned char)mark[n]) {
    s->text[n++] = (char)c;
    c = getc(s->file);
  }
  if (n == 3) n = 0;
  if (c == '#') {
    while (c != EOF && c != '\n') c = getc(s->file);
    if (c == '\n') c = getc(s->file);
    if (c != LUA_SIGNATURE[0]) s->text[n++] = '\n';
  }
  if (c != EOF) s->text[n++] = (char)c;
  return n;
}

static const char *read_file(lua_State *L, void *data, size_t *n) {
  Source *s = data;
  *n = 0;
  if (s->text == NULL) {
    make_room(L, s);
    *n = begin_file(s);
  }
  if (!feof(s->file) && !ferror(s->file))
    *n += fread(s->text + *n, 1, s->size - *n, s->file);
  if (ferror(s->file) && s->err == 0) s->err = errno;
  return s->text;
}

static int cannot(lua_State *L, const char *verb, const char *filename,
                  int err) {
  lua_pushfstring(L, "cannot %s %s: %s", verb,
                  filename == NULL ? "stdin" : filename, strerror(err));
  return LUA_ERRFILE;
}

/* What has been read of standard input is kept, to be quoted. */
static void keep_stdin(lua_State *L, int table) {
  size_t length;
  const char *text;
  if (push_joined(L, table) == LUA_OK) {
    text = lua_tolstring(L, -1, &length);
    neap_keep_source(L, "stdin", text, length);
  }
  lua_pop(L, 1);
}

/* Pushes the function or a message. */
static int load_opened(lua_State *L, Source *s, Pieces *p,
                       const char *filename) {
  int status = load_pieces(L, p, lua_tostring(L, p->table - 1));
  if (filename != NULL) (void)fclose(s->file); /* it was only read */
  if (s->err != 0) {
    lua_pop(L, 1);
    status = cannot(L, "read", filename, s->err);
  }
  if (filename != NULL) np_quote_file(L, filename);
  else if (p->is_text) keep_stdin(L, p->table);
  return status;
}

static int load_file(lua_State *L, const char *filename, const char *mode,
                     int pinned) {
  Source s = {.file = stdin};
  Pieces p = {.reader = read_file, .data = &s, .mode = mode};
  int status;
  luaL_checkstack(L, 20, NULL);
  if (filename == NULL) lua_pushliteral(L, "=stdin");
  else lua_pushfstring(L, "@%s", filename);
  lua_newtable(L);
  s.table = p.table = lua_gettop(L);
  if (filename != NULL) s.file = open_file(filename, pinned);
  if (s.file == NULL) status = cannot(L, "open", filename, errno);
  else status = load_opened(L, &s, &p, filename);
  lua_replace(L, p.table - 1);
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
  int place;
  if (status != LUA_OK) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (env != 0 && (place = env_place(L)) != 0) { /* it may be nil */
    lua_pushvalue(L, env);
    (void)lua_setupvalue(L, -2, place);
  }
  return 1;
}

/* A lua_Reader: calls the function at 1, and anchors what it gives at 5. */
static const char *call_reader(lua_State *L, void *data, size_t *n) {
  (void)data;
  luaL_checkstack(L, 2, "too many nested functions");
  lua_pushvalue(L, 1);
  lua_call(L, 0, 1);
  *n = 0;
  if (lua_isnil(L, -1)) return lua_pop(L, 1), NULL;
  if (!lua_isstring(L, -1))
    luaL_error(L, "reader function must return a string");
  lua_replace(L, 5);
  (void)lua_tolstring(L, 5, n);
  neap_charge(L, 10 + *n / 4);
  return lua_tostring(L, 5);
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
  mode = np_load_mode(L, mode);
  if (lua_tostring(L, 1) != NULL) {
    name = luaL_optstring(L, 2, lua_tostring(L, 1));
    if (np_is_half(name)) name = "=(load)"; /* that name would be a lie */
    text = lua_tolstring(L, 1, &length);
    neap_charge(L, length / 4);
    status = neap_load(L, text, length, name, mode);
  } else {
    name = luaL_optstring(L, 2, "=(load)");
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 5);
    status = neap_loadreader(L, call_reader, NULL, name, mode);
    if (status != LUA_OK && np_is_own(L, -1)) return lua_error(L);
  }
  return load_result(L, status, env);
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
  return f == base_dofile;
}

void np_load_open(lua_State *L) {
  lua_pushcfunction(L, base_load);
  lua_setglobal(L, "load");
  lua_pushcfunction(L, base_loadfile);
  lua_setglobal(L, "loadfile");
  lua_pushcfunction(L, base_dofile);
  lua_setglobal(L, "dofile");
}
