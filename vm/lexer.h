/*
 * lexer.h - a source in tokens, as Lua 5.4 reads them.
 *
 * Tokens are places in the source, nothing is copied or converted. Whatever
 * Lua's lexer takes is one token here and ends where Lua's does; what is
 * wrong inside a numeral or an escape sequence is for Lua to say.
 *
 * Private to the translator. Needs nothing but the bytes.
 */
#ifndef NP_LEXER_H
#define NP_LEXER_H

#include <stddef.h>

/* A token that is one character is its own type. */
enum np_TokenType {
  T_END = 256, T_BAD, T_NAME, T_NUMBER, T_STRING, T_DOTS, T_LABEL, T_BINARY,
  T_AND, T_BREAK, T_DO, T_ELSE, T_ELSEIF, T_ENDWORD, T_FALSE, T_FOR,
  T_FUNCTION, T_GOTO, T_IF, T_IN, T_LOCAL, T_NIL, T_NOT, T_OR, T_REPEAT,
  T_RETURN, T_THEN, T_TRUE, T_UNTIL, T_WHILE
};

typedef struct np_Token {
  int type;
  int fresh;          /* a line begins between the token before and this */
  size_t start, end;  /* offsets in the source */
} np_Token;

typedef struct np_Lexer {
  const char *source;
  size_t length;
  size_t position;    /* where the next token is looked for */
} np_Lexer;

/* Reads one token. After T_BAD or T_END it must not be called again. */
void np_lex(np_Lexer *x, np_Token *t);

/* == Characters, as in the C locale ==================================== */

static inline int np_is_digit(int c) { return (unsigned)c - '0' < 10; }

static inline int np_is_alpha(int c) {
  return ((unsigned)c | 32) - 'a' < 26 || c == '_';
}

static inline int np_is_newline(int c) { return c == '\n' || c == '\r'; }

static inline int np_is_space(int c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The byte at `i`, or -1 beyond the end. */
static inline int np_byte_at(const np_Lexer *x, size_t i) {
  return i < x->length ? (unsigned char)x->source[i] : -1;
}

#endif
