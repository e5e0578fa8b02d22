/*
 * edits.h - what is to be changed in a source, and the text that comes of it.
 *
 * A list of edits in the order of the source, each of which cuts some bytes
 * and puts a text there. NP_PREFIX in the text stands for a prefix that is
 * chosen in the end, so that the names which begin with it are new to the
 * source. Text is put first, then an edit is made of what was put:
 *
 *   size_t text = np_edits_put(e, "(", 1);
 *   np_edits_add(e, at, cut, text);
 *
 * When memory is out, `starved` is set and what follows does nothing.
 * Private to the translator. Touches memory only.
 */
#ifndef NP_EDITS_H
#define NP_EDITS_H

#include <stddef.h>

#define NP_PREFIX '\1'

/* At `at`, `cut` bytes give way to text[text .. text + length). */
typedef struct np_Edit {
  size_t at, cut, text, length;
} np_Edit;

/* A piece of the source. */
typedef struct np_Span {
  size_t start, end;
} np_Span;

typedef struct np_Edits {
  np_Edit *edits;
  size_t count, room;
  char *text;         /* what the edits put in */
  size_t text_length, text_room;
  np_Span *taken;     /* names in the source that look like one of ours */
  size_t taken_count, taken_room;
  int starved;        /* memory is out */
} np_Edits;

/* == Noting ============================================================ */

/* Appends to the text of the edits; gives where it begins. */
size_t np_edits_put(np_Edits *e, const char *bytes, size_t length);

/* Notes `count` edits that do nothing as yet; gives the first one's index. */
size_t np_edits_reserve(np_Edits *e, size_t count);

/* Fills a reserved edit with the text put since `text`. */
void np_edits_fill(np_Edits *e, size_t index, size_t at, size_t cut,
                   size_t text);

/* Notes an edit with the text put since `text`. */
void np_edits_add(np_Edits *e, size_t at, size_t cut, size_t text);

/* Keeps a name that begins like ours, to be looked at when one is chosen. */
void np_edits_avoid(np_Edits *e, np_Span name);

/* == Applying ========================================================== */

/* Tells whether any edit changes anything. */
int np_edits_any(const np_Edits *e);

/* Chooses the first prefix with which no name of `source` begins like ours. */
void np_edits_prefix(np_Edits *e, const char *source, char *prefix,
                     size_t size);

/* Gives the changed source, NUL-terminated and yours to free, or NULL. */
char *np_edits_apply(np_Edits *e, const char *source, size_t length,
                     const char *prefix, size_t *new_length);

/* Frees what the edits hold. */
void np_edits_free(np_Edits *e);

/*
 * Copies text with the prefix filled in and gives the length of the result;
 * if `to` is NULL it only counts.
 */
size_t np_prefix_expand(const char *text, size_t length, const char *prefix,
                        char *to);

#endif
