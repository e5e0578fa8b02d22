/*
 * quote.c - the line of the script that an error is about, to be shown.
 *
 * Of a file nothing is kept but its name and time. When an error is shown its
 * line is read, if the file is still what was loaded. Text that came from
 * elsewhere is kept by neap_keep_source, for whoever thinks it worth that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"

enum {
  MOST_FILE = 4 << 20, /* bytes of a file that are looked through */
  MOST_LINE = 160      /* bytes of a line that are shown */
};

/* == What there is ==================================================== */

/*
 * NP_R_QUOTES: the name of a chunk in messages -> "@path" or "=text"; "@path"
 * -> the file's time; "name\n" -> true when a second text has come by that
 * name.
 */

static int64_t time_of(const struct stat *s) {
#ifdef __APPLE__
  return (int64_t)s->st_mtimespec.tv_sec * 1000000000 +
         s->st_mtimespec.tv_nsec;
#else
  return (int64_t)s->st_mtim.tv_sec * 1000000000 + s->st_mtim.tv_nsec;
#endif
}

/* Pushes the name that messages have for a chunk of that file. */
static void push_short(lua_State *L, const char *path) {
  size_t n = strlen(path);
  if (n < LUA_IDSIZE)
    lua_pushstring(L, path);
  else
    lua_pushfstring(L, "...%s", path + n - (LUA_IDSIZE - 4));
}

void np_quote_file(lua_State *L, const char *path) {
  struct stat s;
  /* What /dev and /proc have there may be another one later. */
  if (strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0)
    return;
  if (stat(path, &s) < 0 || !S_ISREG(s.st_mode)) return;
  np_push(L, np_vm(L), NP_R_QUOTES);
  push_short(L, path);
  lua_pushfstring(L, "@%s", path);
  lua_pushvalue(L, -1);
  lua_pushinteger(L, time_of(&s));
  lua_rawset(L, -5);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void neap_keep_source(lua_State *L, const char *name, const char *text,
                      size_t length) {
  luaL_checkstack(L, 6, NULL);
  np_push(L, np_vm(L), NP_R_QUOTES);
  lua_pushstring(L, name);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) != LUA_TNIL) {
    lua_pushfstring(L, "%s\n", name);
    lua_pushboolean(L, 1);
    lua_rawset(L, -5);
  }
  lua_pop(L, 1);
  lua_pushliteral(L, "=");
  lua_pushlstring(L, text, length);
  lua_concat(L, 2);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* == Lines ============================================================ */

/* Pushes the line as it is shown: without blanks around it, not too long, in
 * plain characters. Gives 0 if nothing is left. */
static int push_line(lua_State *L, const char *line, size_t n) {
  char shown[MOST_LINE + 4];
  size_t i;
  while (n > 0 && strchr(" \t", *line) != NULL) line++, n--;
  while (n > 0 && strchr(" \t\r\n", line[n - 1]) != NULL) n--;
  if (n == 0) return 0;
  for (i = 0; i < n && i < MOST_LINE; i++)
    shown[i] = (unsigned char)line[i] < 32 || line[i] == 127 ? ' ' : line[i];
  if (i < n) {
    while (i > 0 && ((unsigned char)line[i] & 0xC0) == 0x80) i--;
    memcpy(shown + i, "...", 3);
    i += 3;
  }
  lua_pushlstring(L, shown, i);
  return 1;
}

static int line_of_text(lua_State *L, const char *text, size_t n, int line) {
  const char *end = text + n, *stop;
  for (;; text = stop + 1) {
    stop = memchr(text, '\n', (size_t)(end - text));
    if (--line == 0) break;
    if (stop == NULL) return 0;
  }
  return push_line(L, text, (size_t)((stop != NULL ? stop : end) - text));
}

static int line_of_file(lua_State *L, const char *path, int line) {
  char text[4 * MOST_LINE];
  size_t n = 0;
  int c, total = 0;
  FILE *file = fopen(path, "rb");
  if (file == NULL) return 0;
  while ((c = getc(file)) != EOF && total++ < MOST_FILE && line > 0) {
    if (c == '\n') line--;
    else if (line == 1 && n < sizeof text) text[n++] = (char)c;
  }
  (void)fclose(file); /* it was only read */
  return line <= 1 && push_line(L, text, n);
}

/* 1 if the file is what was loaded; its "@path" is on top. */
static int is_same(lua_State *L, int quotes) {
  struct stat s;
  int64_t then;
  lua_pushvalue(L, -1);
  lua_rawget(L, quotes);
  then = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return stat(lua_tostring(L, -1) + 1, &s) == 0 && S_ISREG(s.st_mode) &&
         time_of(&s) == then;
}

/* Of several texts by one name the last is meant, if a main chunk failed. */
static int is_last(lua_State *L, int quotes, const char *where,
                   const char *name, const char *traceback) {
  int again;
  lua_pushfstring(L, "%s\n", name);
  again = lua_rawget(L, quotes) != LUA_TNIL;
  lua_pop(L, 1);
  if (!again || traceback == NULL) return 1;
  lua_pushfstring(L, "\n\t%s: in main chunk", where);
  again = strstr(traceback, lua_tostring(L, -1)) == NULL;
  lua_pop(L, 1);
  return !again;
}

void np_quote(lua_State *L, const char *where, const char *traceback) {
  int top = lua_gettop(L), found = 0, line;
  const char *colon = where != NULL ? strrchr(where, ':') : NULL, *name;
  luaL_checkstack(L, 8, NULL);
  if (colon == NULL || (line = atoi(colon + 1)) <= 0) {
    lua_pushnil(L);
    return;
  }
  np_push(L, np_vm(L), NP_R_QUOTES);
  name = lua_pushlstring(L, where, (size_t)(colon - where));
  lua_pushvalue(L, -1);
  if (lua_rawget(L, top + 1) == LUA_TSTRING) {
    size_t n;
    const char *from = lua_tolstring(L, -1, &n);
    if (*from == '@')
      found = is_same(L, top + 1) && line_of_file(L, from + 1, line);
    else if (is_last(L, top + 1, where, name, traceback))
      found = line_of_text(L, from + 1, n - 1, line);
  }
  if (!found) lua_pushnil(L);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

void np_quote_open(lua_State *L) {
  lua_newtable(L);
  np_keep(L, np_vm(L), NP_R_QUOTES);
}
