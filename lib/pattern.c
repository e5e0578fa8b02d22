/*
 * pattern.c - Lua's patterns, matched with a count of the work: see
 * pattern.h.
 *
 * An item is a single character, class or set with an optional suffix, or
 * one of (, ), %b, %f, %1. `run` goes along the items and calls itself where
 * there is something to try and perhaps take back.
 */
#include <ctype.h>
#include <string.h>

#include "pattern.h"

#define PERIOD 1000 /* steps between two calls of `work` */

static const char *run(np_Match *m, const char *at, const char *p);

static const char *fail(np_Match *m, const char *error) {
  if (m->error == NULL) m->error = error;
  return NULL;
}

static void count(np_Match *m, size_t steps) {
  m->steps += steps;
  if (m->steps < PERIOD) return;
  steps = m->steps;
  m->steps = 0;
  if (m->work != NULL) m->work(m->data, steps);
}

/* == Single characters ================================================ */

/* Where the set that begins at `p`, behind its '[', ends: behind its ']'. */
static const char *set_end(np_Match *m, const char *p) {
  const char *end = m->pattern_end;
  if (p < end && *p == '^') p++;
  do { /* a ']' that comes first is an ordinary one */
    if (p == end) return fail(m, "malformed pattern (missing ']')");
    if (*p++ == '%') {
      if (p == end) return fail(m, "malformed pattern (missing ']')");
      p++;
    }
  } while (p == end || *p != ']');
  return p + 1;
}

/* Where the single item at `p` ends, before its suffix. */
static const char *item_end(np_Match *m, const char *p) {
  switch (*p++) {
  case '%':
    if (p == m->pattern_end)
      return fail(m, "malformed pattern (ends with '%')");
    return p + 1;
  case '[':
    return set_end(m, p);
  default:
    return p;
  }
}

static int in_class(int c, int letter) {
  int is;
  switch (tolower(letter)) {
  case 'a': is = isalpha(c); break;
  case 'c': is = iscntrl(c); break;
  case 'd': is = isdigit(c); break;
  case 'g': is = isgraph(c); break;
  case 'l': is = islower(c); break;
  case 'p': is = ispunct(c); break;
  case 's': is = isspace(c); break;
  case 'u': is = isupper(c); break;
  case 'w': is = isalnum(c); break;
  case 'x': is = isxdigit(c); break;
  default: return letter == c;
  }
  return isupper(letter) ? !is : is != 0;
}

/* `p` is at the '[', `last` at the ']'. */
static int in_set(int c, const char *p, const char *last) {
  int inside = 1;
  if (*++p == '^') {
    inside = 0;
    p++;
  }
  for (; p < last; p++) {
    if (*p == '%') {
      if (in_class(c, (unsigned char)*++p)) return inside;
    } else if (p + 2 < last && p[1] == '-') {
      if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
        return inside;
      p += 2;
    } else if ((unsigned char)*p == c) {
      return inside;
    }
  }
  return !inside;
}

/* 1 if the character at `at` is what the item p..end stands for. */
static int is_one(np_Match *m, const char *at, const char *p,
                  const char *end) {
  int c;
  if (at >= m->text_end) return 0;
  c = (unsigned char)*at;
  switch (*p) {
  case '.': return 1;
  case '%': return in_class(c, (unsigned char)p[1]);
  case '[':
    count(m, (size_t)(end - p) / 4);
    return in_set(c, p, end - 1);
  default: return (unsigned char)*p == c;
  }
}

/* == Items with a suffix ============================================== */

/* As many as there are, then fewer. */
static const char *most(np_Match *m, const char *at, const char *p,
                        const char *end) {
  const char *to = at;
  while (is_one(m, to, p, end)) {
    count(m, 1);
    to++;
  }
  for (;; to--) {
    const char *found = run(m, to, end + 1);
    if (found != NULL || m->error != NULL || to == at) return found;
  }
}

/* As few as will do. */
static const char *fewest(np_Match *m, const char *at, const char *p,
                          const char *end) {
  for (;; at++) {
    const char *found = run(m, at, end + 1);
    if (found != NULL || m->error != NULL) return found;
    if (!is_one(m, at, p, end)) return NULL;
  }
}

/* == Captures ========================================================= */

static const char *open_capture(np_Match *m, const char *at, const char *p,
                                ptrdiff_t kind) {
  const char *found;
  if (m->captures >= NP_CAPTURES) return fail(m, "too many captures");
  m->capture[m->captures].start = at;
  m->capture[m->captures].length = kind;
  m->captures++;
  found = run(m, at, p);
  if (found == NULL) m->captures--;
  return found;
}

static const char *close_capture(np_Match *m, const char *at, const char *p) {
  const char *found;
  int i = m->captures - 1;
  while (i >= 0 && m->capture[i].length != NP_CAPTURE_OPEN) i--;
  if (i < 0) return fail(m, "invalid pattern capture");
  m->capture[i].length = at - m->capture[i].start;
  found = run(m, at, p);
  if (found == NULL) m->capture[i].length = NP_CAPTURE_OPEN;
  return found;
}

/* Behind the text of an earlier capture, if it comes again. */
static const char *repeated(np_Match *m, const char *at, int digit) {
  int i = digit - '1';
  size_t n;
  if (i < 0 || i >= m->captures ||
      m->capture[i].length == NP_CAPTURE_OPEN) {
    if (m->error == NULL) m->error_index = i + 1;
    return fail(m, "invalid capture index");
  }
  n = (size_t)m->capture[i].length; /* a position is too long to be there */
  if ((size_t)(m->text_end - at) < n) return NULL;
  count(m, n / 16);
  return memcmp(m->capture[i].start, at, n) == 0 ? at + n : NULL;
}

/* == %b and %f ======================================================== */

static const char *balanced(np_Match *m, const char *at, const char *p) {
  size_t depth = 1;
  const char *from = at;
  if (p + 1 >= m->pattern_end)
    return fail(m, "malformed pattern (missing arguments to '%b')");
  if (at >= m->text_end || *at != p[0]) return NULL;
  while (++at < m->text_end) {
    if (*at == p[1]) {
      if (--depth == 0) break;
    } else if (*at == p[0]) {
      depth++;
    }
  }
  count(m, (size_t)(at - from) / 4);
  return at < m->text_end ? at + 1 : NULL;
}

/* 1 if `at` is a border of the set that begins at `p`. */
static int is_frontier(np_Match *m, const char *at, const char *p,
                       const char *end) {
  int before = at == m->text ? '\0' : (unsigned char)at[-1];
  int after = at == m->text_end ? '\0' : (unsigned char)*at;
  count(m, (size_t)(end - p) / 4);
  return !in_set(before, p, end - 1) && in_set(after, p, end - 1);
}

/* == All of it ======================================================== */

/* What `run` does with one item. */
typedef enum { NEXT, DONE, SINGLE } Step;

/* An item that begins with '%'; moves *at and *p behind it. */
static Step percent(np_Match *m, const char **at, const char **p) {
  const char *end;
  switch ((*p)[1]) {
  case 'b':
    *at = balanced(m, *at, *p + 2);
    *p += 4;
    return *at != NULL ? NEXT : DONE;
  case 'f':
    *p += 2;
    if (*p >= m->pattern_end || **p != '[') {
      *at = fail(m, "missing '[' after '%f' in pattern");
      return DONE;
    }
    end = set_end(m, *p + 1);
    if (end == NULL || !is_frontier(m, *at, *p, end)) *at = NULL;
    *p = end;
    return *at != NULL ? NEXT : DONE;
  case '0': case '1': case '2': case '3': case '4':
  case '5': case '6': case '7': case '8': case '9':
    *at = repeated(m, *at, (unsigned char)(*p)[1]);
    *p += 2;
    return *at != NULL ? NEXT : DONE;
  default:
    return SINGLE;
  }
}

/* A single character with its suffix; moves *at and *p behind it. */
static Step single(np_Match *m, const char **at, const char **p) {
  const char *end = item_end(m, *p), *found;
  char suffix;
  if (end == NULL) {
    *at = NULL;
    return DONE;
  }
  suffix = end < m->pattern_end ? *end : '\0';
  if (suffix == '*' || suffix == '-') {
    *at = (suffix == '*' ? most : fewest)(m, *at, *p, end);
    return DONE;
  }
  if (!is_one(m, *at, *p, end)) {
    *p = end + 1;
    if (suffix == '?') return NEXT;
    *at = NULL;
    return DONE;
  }
  if (suffix == '+') {
    *at = most(m, *at + 1, *p, end);
    return DONE;
  }
  if (suffix == '?') {
    found = run(m, *at + 1, end + 1);
    *p = end + 1;
    if (found == NULL && m->error == NULL) return NEXT;
    *at = found;
    return DONE;
  }
  ++*at;
  *p = end;
  return NEXT;
}

static Step item(np_Match *m, const char **at, const char **p) {
  const char *next = *p + 1;
  switch (**p) {
  case '(':
    if (next < m->pattern_end && *next == ')')
      *at = open_capture(m, *at, next + 1, NP_CAPTURE_POSITION);
    else
      *at = open_capture(m, *at, next, NP_CAPTURE_OPEN);
    return DONE;
  case ')':
    *at = close_capture(m, *at, next);
    return DONE;
  case '$':
    if (next != m->pattern_end) return SINGLE;
    if (*at != m->text_end) *at = NULL;
    return DONE;
  case '%':
    return next < m->pattern_end ? percent(m, at, p) : SINGLE;
  default:
    return SINGLE;
  }
}

static const char *run(np_Match *m, const char *at, const char *p) {
  if (m->depth == 0) return fail(m, "pattern too complex");
  m->depth--;
  while (at != NULL && p < m->pattern_end) {
    Step step = item(m, &at, &p);
    count(m, 1);
    if (step == SINGLE) step = single(m, &at, &p);
    if (step == DONE) break;
  }
  m->depth++;
  return m->error != NULL ? NULL : at;
}

void np_match_init(np_Match *m, const char *text, size_t text_length,
                   const char *pattern_end) {
  memset(m, 0, offsetof(np_Match, capture));
  m->text = text;
  m->text_end = text + text_length;
  m->pattern_end = pattern_end;
}

const char *np_match(np_Match *m, const char *at, const char *pattern) {
  m->captures = 0;
  m->depth = NP_PATTERN_DEPTH;
  return run(m, at, pattern);
}

int np_pattern_plain(const char *pattern, size_t length) {
  size_t i;
  for (i = 0; i < length; i++)
    if (memchr("^$*+?.([%-", pattern[i], 10) != NULL) return 0;
  return 1;
}
