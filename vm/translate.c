/*
 * translate.c - rewrites `async function` and `await NAME` into plain Lua.
 *
 * The parser notes what is to be changed, the edits are applied; and what is
 * loaded in the end is wrapped here.
 *
 * Touches memory only: no Lua, no libuv, no I/O.
 */
#include "translate.h"

#include <stdlib.h>
#include <string.h>

#include "edits.h"
#include "lexer.h"
#include "parser.h"

/*
 * Looks for `word` by its rarest letter, at `offset` in it, because memchr
 * goes faster than anything that looks at each byte.
 */
static int mentions(const char *s, size_t length, const char *word,
                    size_t offset) {
  size_t i = offset;
  while (i < length) {
    const char *found = memchr(s + i, word[offset], length - i);
    if (!found) return 0;
    size_t start = (size_t)(found - s) - offset, end = start + 5;
    i = start + offset + 1;
    if (end > length || memcmp(s + start, word, 5) != 0) continue;
    int before = start > 0 ? (unsigned char)s[start - 1] : -1;
    int after = end < length ? (unsigned char)s[end] : -1;
    if (np_is_alpha(before) || np_is_digit(before)) continue;
    if (!np_is_alpha(after) && !np_is_digit(after)) return 1;
  }
  return 0;
}

int np_translate_mentions(const char *source, size_t length) {
  return mentions(source, length, "await", 1) ||
         mentions(source, length, "async", 2);
}

int np_translate(const char *source, size_t length, np_Translation *out) {
  np_Edits edits = {0};
  memset(out, 0, sizeof(*out));
  out->balanced = 1;
  strcpy(out->prefix, "__");
  if (!np_translate_mentions(source, length)) return 0;
  out->balanced = np_parse(source, length, &edits);
  if (!edits.starved && np_edits_any(&edits)) {
    np_edits_prefix(&edits, source, out->prefix, sizeof(out->prefix));
    out->text = np_edits_apply(&edits, source, length, out->prefix,
                               &out->length);
  }
  np_edits_free(&edits);
  return edits.starved ? -1 : 0;
}

void np_translation_free(np_Translation *t) {
  free(t->text);
  t->text = NULL;
  t->length = 0;
}

char *np_translate_wrap(const np_Translation *t, size_t *length) {
  static const char head[] =
      "local _ENV,\1call,\1await,\1method,\1async,\1nil,\1return=... "
      "return function(...) if nil then "
      "_ENV,\1call,\1await,\1method,\1async,\1nil,\1return=nil end ";
  static const char tail[] = "\nend";
  size_t head_length =
      np_prefix_expand(head, sizeof(head) - 1, t->prefix, NULL);
  size_t total = head_length + t->length + sizeof(tail) - 1;
  char *text = malloc(total + 1);
  if (!text) return NULL;
  np_prefix_expand(head, sizeof(head) - 1, t->prefix, text);
  memcpy(text + head_length, t->text, t->length);
  memcpy(text + head_length + t->length, tail, sizeof(tail));
  *length = total;
  return text;
}
