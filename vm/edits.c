/*
 * edits.c - edits.h: three growing arrays, and the text in the end.
 *
 * Touches memory only.
 */
#include "edits.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lexer.h"

/* == Noting ============================================================ */

/* Makes room for `more` items after `count`; 0 if memory is out. */
static int grow(np_Edits *e, void **items, size_t *room, size_t count,
                size_t more, size_t size) {
  if (more <= *room - count) return 1;
  size_t wanted = *room < 64 ? 64 : *room * 2;
  if (wanted - count < more) wanted = count + more;
  void *moved = wanted <= SIZE_MAX / size ? realloc(*items, wanted * size)
                                          : NULL;
  if (!moved) {
    e->starved = 1;
    return 0;
  }
  *items = moved;
  *room = wanted;
  return 1;
}

size_t np_edits_put(np_Edits *e, const char *bytes, size_t length) {
  void *text = e->text;
  size_t at = e->text_length;
  if (!grow(e, &text, &e->text_room, at, length, 1)) return at;
  e->text = text;
  if (length) memcpy(e->text + at, bytes, length);
  e->text_length = at + length;
  return at;
}

size_t np_edits_reserve(np_Edits *e, size_t count) {
  void *edits = e->edits;
  size_t first = e->count;
  if (!grow(e, &edits, &e->room, first, count, sizeof(np_Edit))) return first;
  e->edits = edits;
  memset(e->edits + first, 0, count * sizeof(np_Edit));
  e->count = first + count;
  return first;
}

void np_edits_fill(np_Edits *e, size_t index, size_t at, size_t cut,
                   size_t text) {
  if (e->starved) return;
  e->edits[index] = (np_Edit){at, cut, text, e->text_length - text};
}

void np_edits_add(np_Edits *e, size_t at, size_t cut, size_t text) {
  np_edits_fill(e, np_edits_reserve(e, 1), at, cut, text);
}

void np_edits_avoid(np_Edits *e, np_Span name) {
  void *taken = e->taken;
  if (!grow(e, &taken, &e->taken_room, e->taken_count, 1, sizeof(np_Span)))
    return;
  e->taken = taken;
  e->taken[e->taken_count++] = name;
}

/* == The six names ==================================================== */

static const char *const our_names[] = {
  "call", "await", "method", "async", "nil", "return"
};

/*
 * The number of the spelling that the name would collide with: 0 for `__`, n
 * for `__n_`; -1 if it is no name of ours.
 */
static long spelling_of(const char *name, size_t length) {
  long number = 0;
  size_t i = 2;
  while (i < length && i < 11 && np_is_digit(name[i]))
    number = number * 10 + (name[i++] - '0');
  if (i > 2 && (number == 0 || i == length || name[i++] != '_')) return -1;
  for (size_t k = 0; k < 6; k++) {
    const char *suffix = our_names[k];
    if (strlen(suffix) == length - i && !memcmp(suffix, name + i, length - i))
      return number;
  }
  return -1;
}

void np_edits_prefix(np_Edits *e, const char *source, char *prefix,
                     size_t size) {
  size_t count = e->taken_count + 1, n = 0;
  char *used = calloc(count, 1);
  if (!used) {
    e->starved = 1;
    return;
  }
  for (size_t i = 0; i < e->taken_count; i++) {
    np_Span s = e->taken[i];
    long number = spelling_of(source + s.start, s.end - s.start);
    if (number >= 0 && (size_t)number < count) used[number] = 1;
  }
  while (n < count - 1 && used[n]) n++;
  free(used);
  if (n == 0) snprintf(prefix, size, "__");
  else snprintf(prefix, size, "__%zu_", n);
}

/* == The text ========================================================== */

size_t np_prefix_expand(const char *text, size_t length, const char *prefix,
                        char *to) {
  size_t written = 0, prefix_length = strlen(prefix);
  for (size_t i = 0; i < length; i++) {
    size_t size = text[i] == NP_PREFIX ? prefix_length : 1;
    const char *from = text[i] == NP_PREFIX ? prefix : text + i;
    if (to) memcpy(to + written, from, size);
    written += size;
  }
  return written;
}

/* Copies what an edit puts in. */
static size_t edit_expand(const np_Edits *e, const np_Edit *edit,
                          const char *prefix, char *to) {
  if (edit->length == 0) return 0;
  return np_prefix_expand(e->text + edit->text, edit->length, prefix, to);
}

static size_t changed_length(const np_Edits *e, size_t length,
                             const char *prefix) {
  for (size_t i = 0; i < e->count; i++)
    length += edit_expand(e, &e->edits[i], prefix, NULL) - e->edits[i].cut;
  return length;
}

char *np_edits_apply(np_Edits *e, const char *source, size_t length,
                     const char *prefix, size_t *new_length) {
  size_t read = 0, written = 0;
  *new_length = changed_length(e, length, prefix);
  char *text = malloc(*new_length + 1);
  if (!text) {
    e->starved = 1;
    return NULL;
  }
  for (size_t i = 0; i < e->count; i++) {
    const np_Edit *edit = &e->edits[i];
    if (edit->cut == 0 && edit->length == 0) continue;
    assert(edit->at >= read);
    memcpy(text + written, source + read, edit->at - read);
    written += edit->at - read;
    written += edit_expand(e, edit, prefix, text + written);
    read = edit->at + edit->cut;
  }
  memcpy(text + written, source + read, length - read);
  text[*new_length] = '\0';
  return text;
}

int np_edits_any(const np_Edits *e) {
  for (size_t i = 0; i < e->count; i++)
    if (e->edits[i].cut || e->edits[i].length) return 1;
  return 0;
}

void np_edits_free(np_Edits *e) {
  free(e->edits);
  free(e->text);
  free(e->taken);
}
