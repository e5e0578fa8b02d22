/*
 * translate.h - what the tests of the translator share: complaints, and Lua's
 * opinion about a text. Included once in a test.
 */
#ifndef TESTS_VM_TRANSLATE_H
#define TESTS_VM_TRANSLATE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../vm/translate.h"

static int failures;

static void complain(const char *title, const char *source, const char *format,
                     ...) {
  va_list list;
  if (failures++ > 20) return;
  printf("-- %s\n%s\n-- ", title, source);
  va_start(list, format);
  vprintf(format, list);
  va_end(list);
  printf("\n");
}

/* NULL if the text compiles, or else Lua's message, good until the next. */
static const char *refusal(lua_State *L, const char *text, size_t length) {
  lua_settop(L, 0);
  if (luaL_loadbufferx(L, text, length, "=x", "t") == LUA_OK) return NULL;
  return lua_tostring(L, -1);
}

/* What a translated chunk is for Lua: its text, or the source itself. */
static const char *result(const np_Translation *t, const char *source,
                          size_t length, size_t *result_length) {
  *result_length = t->text ? t->length : length;
  return t->text ? t->text : source;
}

static int wrapped_compiles(lua_State *L, const np_Translation *t) {
  size_t length;
  char *text = np_translate_wrap(t, &length);
  int good = text && strlen(text) == length && !refusal(L, text, length);
  free(text);
  return good;
}

#endif
