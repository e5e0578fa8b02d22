/*
 * translate.c - fuzzes vm/translate.h against Lua's own parser.
 *
 * The parser is made to run by mentioning a keyword in a comment at the end,
 * so that it sees any Lua, and must know as well as Lua does what is Lua.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../vm/translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* == Lua's opinion ===================================================== */

/* Lua refuses a chunk for its size, not for its grammar. */
static int is_limit(const char *message) {
  return strstr(message, "overflow") || strstr(message, "too many") ||
         strstr(message, "too long") || strstr(message, "limit");
}

enum Opinion { LUA, NO_LUA, TOO_MUCH };

static enum Opinion opinion(lua_State *L, const char *text, size_t length) {
  lua_settop(L, 0);
  if (luaL_loadbufferx(L, text, length, "=x", "t") == LUA_OK) return LUA;
  return is_limit(lua_tostring(L, -1)) ? TOO_MUCH : NO_LUA;
}

/* == What must hold ==================================================== */

static void check(int holds, const char *what, const char *source,
                  size_t length, const np_Translation *t) {
  if (holds) return;
  fprintf(stderr, "%s\n== source\n", what);
  fwrite(source, 1, length, stderr);
  fprintf(stderr, "\n== text (balanced %d)\n", t->balanced);
  if (t->text) fwrite(t->text, 1, t->length, stderr);
  fprintf(stderr, "\n");
  abort();
}

static size_t newlines(const char *text, size_t length) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++)
    count += text[i] == '\n' || text[i] == '\r';
  return count;
}

static int is_name(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (c >= '0' && c <= '9');
}

/*
 * Something that could be a keyword: the word, and later on its line a name,
 * be it after a comment.
 */
static int may_use(const char *s, size_t length, const char *word) {
  for (size_t i = 0; i + 5 < length; i++) {
    if (memcmp(s + i, word, 5) != 0) continue;
    for (size_t k = i + 5; k < length && s[k] != '\n' && s[k] != '\r'; k++)
      if (is_name((unsigned char)s[k])) return 1;
  }
  return 0;
}

/* The source is used as it is. */
static void check_same(lua_State *L, const char *s, size_t n,
                       const np_Translation *t) {
  enum Opinion plain = opinion(L, s, n);
  if (np_translate_mentions(s, n))
    check(t->balanced || plain != LUA, "Lua takes it", s, n, t);
}

static void check_text(lua_State *L, const char *s, size_t n,
                       const np_Translation *t) {
  enum Opinion text = opinion(L, t->text, t->length);
  check(np_translate_mentions(s, n), "without a word", s, n, t);
  check(may_use(s, n, "await") || may_use(s, n, "async"), "no keyword", s, n,
        t);
  check(t->text[t->length] == '\0', "no end", s, n, t);
  check(newlines(s, n) == newlines(t->text, t->length), "lines moved", s, n,
        t);
  check(t->balanced || text != LUA, "not balanced, yet Lua", s, n, t);
  if (!t->balanced) return;

  size_t length;
  char *wrapped = np_translate_wrap(t, &length);
  enum Opinion whole = opinion(L, wrapped, length);
  check(whole == text || whole == TOO_MUCH || text == TOO_MUCH,
        "another thing wrapped", s, n, t);
  free(wrapped);

  np_Translation again;
  np_translate(t->text, t->length, &again);
  check(again.text == NULL && again.balanced, "translated again", s, n, t);
  np_translation_free(&again);
}

static void check_source(lua_State *L, const char *s, size_t n) {
  np_Translation t;
  if (np_translate(s, n, &t) != 0) abort();
  if (t.text) check_text(L, s, n, &t);
  else check_same(L, s, n, &t);
  np_translation_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char mention[] = "\n--await";
  if (size > 0 && data[0] == 0x1b) return 0;
  lua_State *L = luaL_newstate();
  char *source = malloc(size + sizeof(mention) - 1);
  if (!L || !source) abort();
  if (size) memcpy(source, data, size);
  check_source(L, source, size);
  memcpy(source + size, mention, sizeof(mention) - 1);
  check_source(L, source, size + sizeof(mention) - 1);
  free(source);
  lua_close(L);
  return 0;
}
