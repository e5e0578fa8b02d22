/*
 * lexer.c - lexer.h: names, numerals, strings, comments and symbols.
 *
 * Touches nothing but the source.
 */
#include "lexer.h"

#include <string.h>

static int is_hex(int c) {
  return np_is_digit(c) || ((unsigned)c | 32) - 'a' < 6;
}

/* The reserved words by length; words of length n begin at first_word[n]. */
static const struct {
  char text[9];
  int type;
} words[] = {
  {"do", T_DO}, {"if", T_IF}, {"in", T_IN}, {"or", T_OR},
  {"and", T_AND}, {"end", T_ENDWORD}, {"for", T_FOR}, {"nil", T_NIL},
  {"not", T_NOT},
  {"else", T_ELSE}, {"goto", T_GOTO}, {"then", T_THEN}, {"true", T_TRUE},
  {"break", T_BREAK}, {"false", T_FALSE}, {"local", T_LOCAL},
  {"until", T_UNTIL}, {"while", T_WHILE},
  {"elseif", T_ELSEIF}, {"repeat", T_REPEAT}, {"return", T_RETURN},
  {"function", T_FUNCTION},
};
static const unsigned char first_word[] = {0, 0, 0, 4, 9, 13, 18, 21, 21, 22};

static int word_type(const char *word, size_t length) {
  if (length < 2 || length > 8) return T_NAME;
  for (int i = first_word[length]; i < first_word[length + 1]; i++)
    if (memcmp(words[i].text, word, length) == 0) return words[i].type;
  return T_NAME;
}

static int lex_name(np_Lexer *x, np_Token *t) {
  size_t i = t->start + 1;
  while (np_is_alpha(np_byte_at(x, i)) || np_is_digit(np_byte_at(x, i))) i++;
  t->end = i;
  return word_type(x->source + t->start, i - t->start);
}

/* Takes what Lua takes for a numeral; whether it is one is Lua's to say. */
static int lex_number(np_Lexer *x, np_Token *t) {
  size_t i = t->start;
  int exponent = 'e';
  if (np_byte_at(x, i) == '0' && (np_byte_at(x, i + 1) | 32) == 'x') {
    exponent = 'p';
    i += 2;
  }
  for (;;) {
    int c = np_byte_at(x, i);
    if (c >= 0 && (c | 32) == exponent) {
      i++;
      if (np_byte_at(x, i) == '+' || np_byte_at(x, i) == '-') i++;
    } else if (is_hex(c) || c == '.') {
      i++;
    } else {
      break;
    }
  }
  if (np_is_alpha(np_byte_at(x, i))) i++;
  t->end = i;
  return T_NUMBER;
}

static int lex_string(np_Lexer *x, np_Token *t) {
  int quote = np_byte_at(x, t->start);
  size_t i = t->start + 1;
  for (;;) {
    int c = np_byte_at(x, i++);
    if (c == quote) break;
    if (c < 0 || np_is_newline(c)) return T_BAD;
    if (c != '\\') continue;
    c = np_byte_at(x, i++);
    if (c < 0) return T_BAD;
    if (c == 'z') {
      while (np_is_space(np_byte_at(x, i))) i++;
    } else if (np_is_newline(c)) {
      int pair = np_byte_at(x, i);
      if (np_is_newline(pair) && pair != c) i++;
    }
  }
  t->end = i;
  return T_STRING;
}

/* The number of `=` if a long bracket opens at `i`, or -1. */
static long long_level(const np_Lexer *x, size_t i) {
  size_t first = ++i;
  while (np_byte_at(x, i) == '=') i++;
  return np_byte_at(x, i) == '[' ? (long)(i - first) : -1;
}

/* Where the long bracket that opens at `i` has been closed; 0 if never. */
static size_t long_end(const np_Lexer *x, size_t i, long level) {
  i += (size_t)level + 2;
  while (i < x->length) {
    const char *found = memchr(x->source + i, ']', x->length - i);
    if (!found) return 0;
    i = (size_t)(found - x->source) + 1;
    size_t first = i;
    while (np_byte_at(x, i) == '=') i++;
    if ((long)(i - first) == level && np_byte_at(x, i) == ']') return i + 1;
  }
  return 0;
}

/* Skips the comment whose dashes are at `i`; 0 if it never ends. */
static size_t comment_end(const np_Lexer *x, size_t i, int *fresh) {
  i += 2;
  long level = np_byte_at(x, i) == '[' ? long_level(x, i) : -1;
  if (level < 0) {
    while (i < x->length && !np_is_newline(np_byte_at(x, i))) i++;
    return i;
  }
  size_t end = long_end(x, i, level);
  for (; i < end; i++) *fresh |= np_is_newline(np_byte_at(x, i));
  return end;
}

/* A token of `length` bytes. */
static int symbol(np_Token *t, size_t length, int type) {
  t->end = t->start + length;
  return type;
}

static int lex_bracket(np_Lexer *x, np_Token *t) {
  long level = long_level(x, t->start);
  if (level < 0)
    return np_byte_at(x, t->start + 1) == '=' ? T_BAD : symbol(t, 1, '[');
  t->end = long_end(x, t->start, level);
  return t->end ? T_STRING : T_BAD;
}

static int lex_dots(np_Lexer *x, np_Token *t) {
  int next = np_byte_at(x, t->start + 1);
  if (np_is_digit(next)) return lex_number(x, t);
  if (next != '.') return symbol(t, 1, '.');
  return np_byte_at(x, t->start + 2) == '.' ? symbol(t, 3, T_DOTS)
                                         : symbol(t, 2, T_BINARY);
}

static int lex_symbol(np_Lexer *x, np_Token *t, int c) {
  int next = np_byte_at(x, t->start + 1);
  switch (c) {
    case '"': case '\'': return lex_string(x, t);
    case '[': return lex_bracket(x, t);
    case '.': return lex_dots(x, t);
    case ':': return next == ':' ? symbol(t, 2, T_LABEL) : symbol(t, 1, c);
    case '=': case '~':
      return next == '=' ? symbol(t, 2, T_BINARY) : symbol(t, 1, c);
    case '<': case '>':
      if (next == '=' || next == c) return symbol(t, 2, T_BINARY);
      return symbol(t, 1, c);
    case '/':
      return symbol(t, next == '/' ? 2 : 1, T_BINARY);
    case '+': case '*': case '%': case '^': case '&': case '|':
      return symbol(t, 1, T_BINARY);
    default: return symbol(t, 1, c);
  }
}

static int lex_token(np_Lexer *x, np_Token *t) {
  int c = np_byte_at(x, t->start);
  if (np_is_alpha(c)) return lex_name(x, t);
  if (np_is_digit(c)) return lex_number(x, t);
  return lex_symbol(x, t, c);
}

void np_lex(np_Lexer *x, np_Token *t) {
  size_t i = x->position;
  *t = (np_Token){.type = T_BAD, .start = i, .end = i};
  for (;;) {
    int c = np_byte_at(x, i);
    if (np_is_space(c)) {
      t->fresh |= np_is_newline(c);
      i++;
    } else if (c == '-' && np_byte_at(x, i + 1) == '-') {
      i = comment_end(x, i, &t->fresh);
      if (!i) return;
    } else {
      break;
    }
  }
  t->start = t->end = i;
  t->type = i < x->length ? lex_token(x, t) : T_END;
  x->position = t->end;
}
