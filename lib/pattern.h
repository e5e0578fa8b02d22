/*
 * pattern.h - Lua's patterns, matched with a count of the work.
 *
 * Matching can take time that grows with any power of the text's length, and
 * Lua's own matcher cannot be stopped. This one calls `work` after every so
 * many steps; what that does, longjmp included, is the caller's affair: a
 * match owns no memory. Otherwise it finds what Lua's string.match does.
 */
#ifndef NP_PATTERN_H
#define NP_PATTERN_H

#include <stddef.h>

enum { NP_CAPTURES = 32, NP_PATTERN_DEPTH = 200 };

/* Lengths of captures that are no text. */
enum { NP_CAPTURE_OPEN = -1, NP_CAPTURE_POSITION = -2 };

typedef struct np_Capture {
  const char *start;
  ptrdiff_t length;
} np_Capture;

typedef struct np_Match {
  const char *text, *text_end;
  const char *pattern_end;
  void (*work)(void *data, size_t steps); /* may be NULL */
  void *data;
  size_t steps;      /* since `work` was called */
  const char *error; /* what is wrong with the pattern, or NULL */
  int error_index;   /* the capture that `error` is about, or 0 */
  int depth;
  int captures;      /* how many; NP_CAPTURE_OPEN ones are an error */
  np_Capture capture[NP_CAPTURES];
} np_Match;

/* Sets up a match of `text`; `work` and `data` may be set afterwards. */
void np_match_init(np_Match *m, const char *text, size_t text_length,
                   const char *pattern_end);

/*
 * Matches `pattern`, which ends at m->pattern_end, from `at`: gives where
 * the match ends, or NULL if there is none or m->error was set.
 */
const char *np_match(np_Match *m, const char *at, const char *pattern);

/* 1 if the pattern is plain text. */
int np_pattern_plain(const char *pattern, size_t length);

#endif
