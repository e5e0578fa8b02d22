/*
 * translate.c - rewrites `async function` and `await NAME` into plain Lua.
 *
 * A lexer, a recursive-descent parser over Lua 5.4's grammar and a list of
 * edits. The parser builds no tree: it only has to know where an expression
 * or a statement may start and where an operand ends, and notes in the order
 * of the source what is to be deleted and put in. It is more lenient than
 * Lua wherever Lua will complain before anything was edited wrongly.
 *
 * Touches buffers only: no Lua, no libuv, no I/O.
 */
#include "translate.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * How deep the source may nest. Lua counts expressions and statements like
 * this parser does, or faster, and refuses the chunk at 200.
 */
#define DEEPEST 220

/* Stands for the chosen prefix in the text of an edit. */
#define PREFIX '\1'

/* == Types ============================================================= */

/* A token that is one character is its own type. */
enum TokenType {
  T_END = 256, T_BAD, T_NAME, T_NUMBER, T_STRING, T_DOTS, T_LABEL, T_BINARY,
  T_AND, T_BREAK, T_DO, T_ELSE, T_ELSEIF, T_ENDWORD, T_FALSE, T_FOR,
  T_FUNCTION, T_GOTO, T_IF, T_IN, T_LOCAL, T_NIL, T_NOT, T_OR, T_REPEAT,
  T_RETURN, T_THEN, T_TRUE, T_UNTIL, T_WHILE
};

typedef struct Token {
  int type;
  int fresh;          /* a line begins between the token before and this */
  size_t start, end;  /* offsets in the source */
} Token;

/* At `at`, `cut` bytes give way to text[text .. text + length). */
typedef struct Edit {
  size_t at, cut, text, length;
} Edit;

/* A piece of the source. */
typedef struct Span {
  size_t start, end;
} Span;

typedef struct Parser {
  const char *source;
  size_t length;
  size_t position;    /* where the lexer reads on */
  Token token;        /* the one to be parsed */
  Token ahead;        /* the one after it, if `looked` */
  int looked;
  size_t last;        /* where the token before `token` ended */
  int depth;
  int failed;         /* `token` is T_BAD from now on */
  int starved;        /* failed because memory is out */
  Span awaited;       /* the await expression that was parsed last */
  size_t seam;        /* the end of an async function expression that what
                         follows it would call or index; 0 if none */
  Edit *edits;
  size_t edit_count, edit_room;
  char *text;         /* what the edits put in */
  size_t text_length, text_room;
  Span *taken;        /* names in the source that look like one of ours */
  size_t taken_count, taken_room;
} Parser;

/* What a suffixed expression turned out to be. */
enum Ending { E_NAME, E_FIELD, E_INDEX, E_GROUP, E_CALL };

typedef struct Operand {
  size_t start;
  enum Ending ending;
  int dotted;         /* nothing but names and dots */
  Span last_name;     /* the variable or the last `.name` */
} Operand;

/* The last call of an awaited operand. */
typedef struct Call {
  enum Ending callee;  /* for a method, what the object is */
  Span callee_name;
  size_t callee_end;
  int is_method;
  Token colon, method, open;
  int is_empty;        /* `()` */
  size_t slots;        /* three edits, reserved in the order of the source */
} Call;

static void expression(Parser *p, Span name);
static void block(Parser *p);

/* == Memory: three growing arrays ====================================== */

static void fail(Parser *p);

static void starve(Parser *p) {
  p->starved = 1;
  p->failed = 1;
  p->token.type = T_BAD;
}

/* Makes room for `more` items after `count`; 0 if memory is out. */
static int grow(Parser *p, void **items, size_t *room, size_t count,
                size_t more, size_t size) {
  if (more <= *room - count) return 1;
  size_t wanted = *room < 64 ? 64 : *room * 2;
  if (wanted - count < more) wanted = count + more;
  void *moved = wanted <= SIZE_MAX / size ? realloc(*items, wanted * size)
                                          : NULL;
  if (!moved) {
    starve(p);
    return 0;
  }
  *items = moved;
  *room = wanted;
  return 1;
}

/* Appends to the text of the edits; gives where it begins. */
static size_t put(Parser *p, const char *bytes, size_t length) {
  void *text = p->text;
  size_t at = p->text_length;
  if (!grow(p, &text, &p->text_room, at, length, 1)) return at;
  p->text = text;
  if (length) memcpy(p->text + at, bytes, length);
  p->text_length = at + length;
  return at;
}

static size_t put_text(Parser *p, const char *text) {
  return put(p, text, strlen(text));
}

static size_t put_span(Parser *p, Span s) {
  return put(p, p->source + s.start, s.end - s.start);
}

/* Notes `count` edits that do nothing as yet; gives the first one's index. */
static size_t edit_reserve(Parser *p, size_t count) {
  void *edits = p->edits;
  size_t first = p->edit_count;
  if (!grow(p, &edits, &p->edit_room, first, count, sizeof(Edit))) return first;
  p->edits = edits;
  memset(p->edits + first, 0, count * sizeof(Edit));
  p->edit_count = first + count;
  return first;
}

/* Fills a reserved edit with the text put since `text`. */
static void edit_fill(Parser *p, size_t index, size_t at, size_t cut,
                      size_t text) {
  if (p->starved) return;
  p->edits[index] = (Edit){at, cut, text, p->text_length - text};
}

/* Notes an edit with the text put since `text`. */
static void edit_add(Parser *p, size_t at, size_t cut, size_t text) {
  edit_fill(p, edit_reserve(p, 1), at, cut, text);
}

static void insert(Parser *p, size_t at, const char *text) {
  edit_add(p, at, 0, put_text(p, text));
}

/* == Lexer ============================================================= */

static int is_digit(int c) { return (unsigned)c - '0' < 10; }

static int is_alpha(int c) {
  return ((unsigned)c | 32) - 'a' < 26 || c == '_';
}

static int is_hex(int c) {
  return is_digit(c) || ((unsigned)c | 32) - 'a' < 6;
}

static int is_newline(int c) { return c == '\n' || c == '\r'; }

static int is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The byte at `i`, or -1 beyond the end. */
static int byte_at(const Parser *p, size_t i) {
  return i < p->length ? (unsigned char)p->source[i] : -1;
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

/* Keeps a name that begins like ours, to be looked at when one is chosen. */
static void note_taken(Parser *p, size_t start, size_t end) {
  void *taken = p->taken;
  if (!grow(p, &taken, &p->taken_room, p->taken_count, 1, sizeof(Span)))
    return;
  p->taken = taken;
  p->taken[p->taken_count++] = (Span){start, end};
}

static int lex_name(Parser *p, Token *t) {
  size_t i = t->start + 1;
  while (is_alpha(byte_at(p, i)) || is_digit(byte_at(p, i))) i++;
  t->end = i;
  const char *word = p->source + t->start;
  if (word[0] == '_' && i - t->start > 2 && word[1] == '_')
    note_taken(p, t->start, i);
  return word_type(word, i - t->start);
}

/* Takes what Lua takes for a numeral; whether it is one is Lua's to say. */
static int lex_number(Parser *p, Token *t) {
  size_t i = t->start;
  int exponent = 'e';
  if (byte_at(p, i) == '0' && (byte_at(p, i + 1) | 32) == 'x') {
    exponent = 'p';
    i += 2;
  }
  for (;;) {
    int c = byte_at(p, i);
    if (c >= 0 && (c | 32) == exponent) {
      i++;
      if (byte_at(p, i) == '+' || byte_at(p, i) == '-') i++;
    } else if (is_hex(c) || c == '.') {
      i++;
    } else {
      break;
    }
  }
  if (is_alpha(byte_at(p, i))) i++;
  t->end = i;
  return T_NUMBER;
}

static int lex_string(Parser *p, Token *t) {
  int quote = byte_at(p, t->start);
  size_t i = t->start + 1;
  for (;;) {
    int c = byte_at(p, i++);
    if (c == quote) break;
    if (c < 0 || is_newline(c)) return T_BAD;
    if (c != '\\') continue;
    c = byte_at(p, i++);
    if (c < 0) return T_BAD;
    if (c == 'z') {
      while (is_space(byte_at(p, i))) i++;
    } else if (is_newline(c)) {
      int pair = byte_at(p, i);
      if (is_newline(pair) && pair != c) i++;
    }
  }
  t->end = i;
  return T_STRING;
}

/* The number of `=` if a long bracket opens at `i`, or -1. */
static long long_level(const Parser *p, size_t i) {
  size_t first = ++i;
  while (byte_at(p, i) == '=') i++;
  return byte_at(p, i) == '[' ? (long)(i - first) : -1;
}

/* Where the long bracket that opens at `i` has been closed; 0 if never. */
static size_t long_end(const Parser *p, size_t i, long level) {
  i += (size_t)level + 2;
  while (i < p->length) {
    const char *found = memchr(p->source + i, ']', p->length - i);
    if (!found) return 0;
    i = (size_t)(found - p->source) + 1;
    size_t first = i;
    while (byte_at(p, i) == '=') i++;
    if ((long)(i - first) == level && byte_at(p, i) == ']') return i + 1;
  }
  return 0;
}

/* Skips the comment whose dashes are at `i`; 0 if it never ends. */
static size_t comment_end(const Parser *p, size_t i, int *fresh) {
  i += 2;
  long level = byte_at(p, i) == '[' ? long_level(p, i) : -1;
  if (level < 0) {
    while (i < p->length && !is_newline(byte_at(p, i))) i++;
    return i;
  }
  size_t end = long_end(p, i, level);
  for (; i < end; i++) *fresh |= is_newline(byte_at(p, i));
  return end;
}

/* A token of `length` bytes. */
static int symbol(Token *t, size_t length, int type) {
  t->end = t->start + length;
  return type;
}

static int lex_bracket(Parser *p, Token *t) {
  long level = long_level(p, t->start);
  if (level < 0)
    return byte_at(p, t->start + 1) == '=' ? T_BAD : symbol(t, 1, '[');
  t->end = long_end(p, t->start, level);
  return t->end ? T_STRING : T_BAD;
}

static int lex_dots(Parser *p, Token *t) {
  int next = byte_at(p, t->start + 1);
  if (is_digit(next)) return lex_number(p, t);
  if (next != '.') return symbol(t, 1, '.');
  return byte_at(p, t->start + 2) == '.' ? symbol(t, 3, T_DOTS)
                                         : symbol(t, 2, T_BINARY);
}

static int lex_symbol(Parser *p, Token *t, int c) {
  int next = byte_at(p, t->start + 1);
  switch (c) {
    case '"': case '\'': return lex_string(p, t);
    case '[': return lex_bracket(p, t);
    case '.': return lex_dots(p, t);
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

static int lex_token(Parser *p, Token *t) {
  int c = byte_at(p, t->start);
  if (is_alpha(c)) return lex_name(p, t);
  if (is_digit(c)) return lex_number(p, t);
  return lex_symbol(p, t, c);
}

/* Reads one token. After T_BAD or T_END it is not called again. */
static void lex(Parser *p, Token *t) {
  size_t i = p->position;
  *t = (Token){.type = T_BAD, .start = i, .end = i};
  for (;;) {
    int c = byte_at(p, i);
    if (is_space(c)) {
      t->fresh |= is_newline(c);
      i++;
    } else if (c == '-' && byte_at(p, i + 1) == '-') {
      i = comment_end(p, i, &t->fresh);
      if (!i) return;
    } else {
      break;
    }
  }
  t->start = t->end = i;
  t->type = i < p->length ? lex_token(p, t) : T_END;
  p->position = t->end;
}

/* == Parser: tokens ==================================================== */

/* Takes the token. */
static void next(Parser *p) {
  if (p->failed) return;
  p->last = p->token.end;
  if (p->looked) {
    p->token = p->ahead;
    p->looked = 0;
  } else if (p->token.type != T_END) {
    lex(p, &p->token);
  }
  if (p->starved) p->token.type = T_BAD;
}

/* The token after this one. */
static const Token *look(Parser *p) {
  if (!p->looked) {
    if (p->token.type == T_END || p->token.type == T_BAD) return &p->token;
    lex(p, &p->ahead);
    p->looked = 1;
  }
  return &p->ahead;
}

/*
 * The token cannot stand here: what follows is left alone. Text that is
 * joined to an async function before it is kept from being taken for a call.
 */
static void fail(Parser *p) {
  if (p->failed) return;
  if (p->seam && p->seam == p->last) insert(p, p->seam, " or nil");
  p->failed = 1;
  p->token.type = T_BAD;
}

static int test(const Parser *p, int type) { return p->token.type == type; }

/* Takes the token if it is one of `type`. */
static int accept(Parser *p, int type) {
  if (!test(p, type)) return 0;
  next(p);
  return 1;
}

static void expect(Parser *p, int type) {
  if (!accept(p, type)) fail(p);
}

static int enter(Parser *p) {
  if (++p->depth > DEEPEST) fail(p);
  return !p->failed;
}

static void leave(Parser *p) { p->depth--; }

static int is_word(const Parser *p, const char *word) {
  const Token *t = &p->token;
  return t->type == T_NAME && t->end - t->start == 5 &&
         memcmp(p->source + t->start, word, 5) == 0;
}

/* The token is `await` with a name after it on the same line. */
static int at_await(Parser *p) {
  return is_word(p, "await") && look(p)->type == T_NAME && !look(p)->fresh;
}

/* The token is `async` with `function` after it on the same line. */
static int at_async(Parser *p) {
  return is_word(p, "async") && look(p)->type == T_FUNCTION && !look(p)->fresh;
}

/* The token would go on calling or indexing an expression before it. */
static int at_suffix(const Parser *p) {
  int t = p->token.type;
  return t == '(' || t == T_STRING || t == '{' || t == '[' || t == '.' ||
         t == ':';
}

static int at_unary(const Parser *p) {
  int t = p->token.type;
  return t == '-' || t == T_NOT || t == '#' || t == '~';
}

static int at_binary(const Parser *p) {
  int t = p->token.type;
  return t == T_BINARY || t == T_AND || t == T_OR || t == '-' || t == '<' ||
         t == '>' || t == '~';
}

/* The piece from `from` to `to`, or to `end` if only blanks lie between. */
static size_t blanks_cut(const Parser *p, size_t from, size_t end, size_t to) {
  for (size_t i = end; i < to; i++) {
    int c = byte_at(p, i);
    if (!is_space(c) || is_newline(c)) return end - from;
  }
  return to - from;
}

/* == Parser: functions ================================================= */

/* Parameters and body, from `(` to `end`. */
static void body(Parser *p) {
  expect(p, '(');
  if (!test(p, ')')) {
    do {
      if (accept(p, T_DOTS)) break;
      expect(p, T_NAME);
    } while (accept(p, ','));
  }
  expect(p, ')');
  block(p);
  expect(p, T_ENDWORD);
}

/* Puts a name into quotes, or "nil" if there is none or it is not plain. */
static void put_quoted(Parser *p, Span name) {
  int plain = name.end > name.start;
  for (size_t i = name.start; plain && i < name.end; i++) {
    int c = byte_at(p, i);
    plain = is_alpha(c) || is_digit(c) || c == '.';
  }
  if (!plain) {
    put_text(p, "nil");
    return;
  }
  put_text(p, "\"");
  put_span(p, name);
  put_text(p, "\"");
}

/* `async function ... end` as an expression. */
static void async_expression(Parser *p, Span name) {
  Token async = p->token;
  next(p);
  size_t text = put_text(p, "\1async(");
  put_quoted(p, name);
  put_text(p, ",");
  edit_add(p, async.start,
           blanks_cut(p, async.start, async.end, p->token.start), text);
  next(p);
  body(p);
  if (p->failed) return;
  insert(p, p->last, ")");
  p->seam = at_suffix(p) ? p->last : 0;
}

/* The end of an async function that is a statement, not an operand. */
static void async_end(Parser *p) {
  if (p->failed) return;
  int goes_on = at_suffix(p) || at_binary(p) || test(p, ',');
  insert(p, p->last, goes_on ? ");" : ")");
}

/* Takes a token of a name and cuts it. */
static void cut_token(Parser *p, int type) {
  Token t = p->token;
  expect(p, type);
  if (!p->failed) edit_add(p, t.start, t.end - t.start, p->text_length);
}

/* A name with dots, which is cut; gives 1 if it ends in a method. */
static int cut_name(Parser *p, int is_local) {
  cut_token(p, T_NAME);
  if (is_local) return 0;
  while (test(p, '.')) {
    cut_token(p, '.');
    cut_token(p, T_NAME);
  }
  if (!test(p, ':')) return 0;
  cut_token(p, ':');
  cut_token(p, T_NAME);
  return 1;
}

/* Puts what the edits from `first` on have cut, with a dot for a colon. */
static void put_cut(Parser *p, size_t first, char colon) {
  for (size_t i = first; !p->starved && i < p->edit_count; i++) {
    size_t at = p->edits[i].at;
    if (p->source[at] == ':') put(p, &colon, 1);
    else put_span(p, (Span){at, at + p->edits[i].cut});
  }
}

/*
 * What comes before the parameters of `async function NAME`, to be put where
 * `function` stands. Lua takes the line of the parenthesis for that of the
 * function, but the line of `function` if it is a statement and not local.
 */
static void put_head(Parser *p, size_t first, int is_local, int is_method) {
  put_cut(p, first, '.');
  if (is_local) {
    put_text(p, " ");
    put_cut(p, first, '.');
  }
  put_text(p, "=\1async(\"");
  put_cut(p, first, ':');
  put_text(p, "\",function");
  if (is_local || !test(p, '(')) return;
  put_text(p, "(");
  if (is_method) put_text(p, look(p)->type == ')' ? "self" : "self,");
}

/*
 * `async function NAME ... end`; `token` is `async`. If the name is wrong, Lua
 * is to complain about it, so nothing but `async` is cut then.
 */
static void async_statement(Parser *p, int is_local) {
  Token async = p->token, function;
  next(p);
  function = p->token;
  edit_add(p, async.start,
           blanks_cut(p, async.start, async.end, function.start),
           p->text_length);
  next(p);
  size_t slot = edit_reserve(p, 1);
  size_t name = p->token.start;
  int is_method = cut_name(p, is_local);
  if (p->failed) {
    p->edit_count = slot;
    return;
  }
  size_t text = p->text_length;
  put_head(p, slot + 1, is_local, is_method);
  edit_fill(p, slot, function.start,
            blanks_cut(p, function.start, function.end, name), text);
  if (!is_local && test(p, '('))
    edit_add(p, p->token.start, 1, p->text_length);
  body(p);
  async_end(p);
}

/* == Parser: suffixed expressions ====================================== */

/* The fields between `{` and `}`. */
static void table(Parser *p) {
  expect(p, '{');
  while (!test(p, '}') && !p->failed) {
    Span name = {0, 0};
    if (accept(p, '[')) {
      expression(p, name);
      expect(p, ']');
      expect(p, '=');
    } else if (test(p, T_NAME) && look(p)->type == '=') {
      name = (Span){p->token.start, p->token.end};
      next(p);
      next(p);
    }
    expression(p, name);
    if (!accept(p, ',') && !accept(p, ';')) break;
  }
  expect(p, '}');
}

static void expressions(Parser *p, Span name) {
  expression(p, name);
  while (accept(p, ',')) expression(p, (Span){0, 0});
}

/* The arguments of a call; gives 1 if they are `()`. */
static int arguments(Parser *p) {
  if (test(p, '{')) {
    table(p);
    return 0;
  }
  if (accept(p, T_STRING)) return 0;
  expect(p, '(');
  if (accept(p, ')')) return 1;
  expressions(p, (Span){0, 0});
  expect(p, ')');
  return 0;
}

/* `:name` and arguments, or arguments alone; notes them for an await. */
static void call_suffix(Parser *p, Operand *o, Call *call) {
  call->callee = o->ending;
  call->callee_name = o->last_name;
  call->callee_end = p->last;
  call->colon = p->token;
  call->is_method = accept(p, ':');
  if (call->is_method) {
    call->method = p->token;
    expect(p, T_NAME);
  }
  call->open = p->token;
  call->is_empty = arguments(p);
  o->ending = E_CALL;
}

/* What may follow a name or a group. With `call`, the last call is noted. */
static void suffixes(Parser *p, Operand *o, Call *call) {
  Call scratch;
  for (;;) {
    switch (p->token.type) {
      case '.':
        next(p);
        o->ending = E_FIELD;
        o->last_name = (Span){p->token.start, p->token.end};
        expect(p, T_NAME);
        break;
      case '[':
        next(p);
        expression(p, (Span){0, 0});
        expect(p, ']');
        o->ending = E_INDEX;
        o->dotted = 0;
        break;
      case ':': case '(': case '{': case T_STRING:
        o->dotted = 0;
        if (call) call->slots = edit_reserve(p, 3);
        call_suffix(p, o, call ? call : &scratch);
        break;
      default: return;
    }
  }
}

/* A name or a group, with suffixes. */
static void suffixed(Parser *p, Operand *o, Call *call) {
  o->start = p->token.start;
  o->last_name = (Span){p->token.start, p->token.end};
  if (accept(p, '(')) {
    expression(p, (Span){0, 0});
    expect(p, ')');
    o->ending = E_GROUP;
    o->dotted = 0;
  } else {
    expect(p, T_NAME);
    o->ending = E_NAME;
    o->dotted = 1;
  }
  suffixes(p, o, call);
}

/* == Parser: await ===================================================== */

/* `__call[f or __nil"f"](x)`; a callee without a name has no `or`. */
static void await_function(Parser *p, const Call *call) {
  size_t text = p->text_length;
  if (call->callee == E_NAME || call->callee == E_FIELD) {
    put_text(p, call->callee == E_NAME ? " or \1nil\"" : " or \1nil\".");
    put_span(p, call->callee_name);
    put_text(p, "\"");
  }
  put_text(p, "]");
  edit_fill(p, call->slots, call->callee_end, 0, text);
}

/* `__call[q.get or __nil":get"](q,x)`, where the object is a variable. */
static void await_variable_method(Parser *p, const Call *call) {
  int paren = call->open.type == '(';
  edit_fill(p, call->slots, call->colon.start, 1, put_text(p, "."));
  size_t text = put_text(p, " or \1nil\":");
  put_span(p, (Span){call->method.start, call->method.end});
  put_text(p, "\"]");
  edit_fill(p, call->slots + 1, call->method.end, 0, text);
  text = put_text(p, "(");
  put_span(p, call->callee_name);
  if (!call->is_empty) put_text(p, ",");
  edit_fill(p, call->slots + 2, call->open.start, paren, text);
  if (!paren) insert(p, p->last, ")");
}

/* `__method(a.b,"c",x)`, for any other object. */
static void await_method(Parser *p, const Call *call) {
  int paren = call->open.type == '(';
  Token method = call->method;
  edit_fill(p, call->slots, call->colon.start, 1, put_text(p, ","));
  size_t text = put_text(p, "\"");
  put_span(p, (Span){method.start, method.end});
  put_text(p, "\"");
  edit_fill(p, call->slots + 1, method.start, method.end - method.start, text);
  text = put_text(p, call->is_empty ? "" : ",");
  edit_fill(p, call->slots + 2, call->open.start, paren, text);
  if (!paren) insert(p, p->last, ")");
}

/* Rewrites an operand that ends in a call; gives what `await` becomes. */
static const char *await_call(Parser *p, const Call *call) {
  if (!call->is_method) {
    await_function(p, call);
    return "\1call[";
  }
  if (call->callee == E_NAME) {
    await_variable_method(p, call);
    return "\1call[";
  }
  await_method(p, call);
  return "\1method(";
}

static void await_expression(Parser *p) {
  Token await = p->token;
  const char *opening = "\1await(";
  size_t slot = edit_reserve(p, 1);
  next(p);
  size_t cut = blanks_cut(p, await.start, await.end, p->token.start);
  Operand operand = {0};
  Call call = {0};
  if (enter(p)) {
    if (at_await(p)) {
      await_expression(p);
    } else if (at_async(p)) {
      async_expression(p, (Span){0, 0});
    } else {
      suffixed(p, &operand, &call);
    }
  }
  leave(p);
  if (!p->failed) {
    if (operand.ending == E_CALL) opening = await_call(p, &call);
    else insert(p, p->last, ")");
  }
  edit_fill(p, slot, await.start, cut, put_text(p, opening));
  p->awaited = (Span){await.start, p->last};
}

/* == Parser: expressions =============================================== */

static void simple_expression(Parser *p, Span name) {
  Operand operand;
  switch (p->token.type) {
    case T_NUMBER: case T_STRING: case T_NIL: case T_TRUE: case T_FALSE:
    case T_DOTS:
      next(p);
      break;
    case '{':
      table(p);
      break;
    case T_FUNCTION:
      next(p);
      body(p);
      break;
    default:
      if (at_await(p)) await_expression(p);
      else if (at_async(p)) async_expression(p, name);
      else suffixed(p, &operand, NULL);
      break;
  }
}

/*
 * An expression; precedence does not matter here. `name` is what it is given
 * to, if that is plain.
 */
static void expression(Parser *p, Span name) {
  if (enter(p)) {
    for (;;) {
      while (at_unary(p)) {
        next(p);
        name = (Span){0, 0};
      }
      simple_expression(p, name);
      if (!at_binary(p)) break;
      next(p);
      name = (Span){0, 0};
    }
  }
  leave(p);
}

/* == Parser: statements ================================================ */

static void condition(Parser *p) { expression(p, (Span){0, 0}); }

static void if_statement(Parser *p) {
  do {
    next(p);
    condition(p);
    expect(p, T_THEN);
    block(p);
  } while (test(p, T_ELSEIF));
  if (accept(p, T_ELSE)) block(p);
  expect(p, T_ENDWORD);
}

static void loop_body(Parser *p) {
  expect(p, T_DO);
  block(p);
  expect(p, T_ENDWORD);
}

static void for_statement(Parser *p) {
  next(p);
  expect(p, T_NAME);
  if (accept(p, '=')) {
    expression(p, (Span){0, 0});
    expect(p, ',');
    expression(p, (Span){0, 0});
    if (accept(p, ',')) expression(p, (Span){0, 0});
  } else {
    while (accept(p, ',')) expect(p, T_NAME);
    expect(p, T_IN);
    expressions(p, (Span){0, 0});
  }
  loop_body(p);
}

static void function_statement(Parser *p) {
  next(p);
  expect(p, T_NAME);
  while (accept(p, '.')) expect(p, T_NAME);
  if (accept(p, ':')) expect(p, T_NAME);
  body(p);
}

static void local_variables(Parser *p) {
  Span name = {p->token.start, p->token.end};
  for (;;) {
    expect(p, T_NAME);
    if (accept(p, '<')) {
      expect(p, T_NAME);
      expect(p, '>');
    }
    if (!accept(p, ',')) break;
    name = (Span){0, 0};
  }
  if (accept(p, '=')) expressions(p, name);
}

static void local_statement(Parser *p) {
  next(p);
  if (accept(p, T_FUNCTION)) {
    expect(p, T_NAME);
    body(p);
  } else if (at_async(p)) {
    async_statement(p, 1);
  } else {
    local_variables(p);
  }
}

static int at_block_end(const Parser *p) {
  int t = p->token.type;
  return t == T_END || t == T_ENDWORD || t == T_ELSE || t == T_ELSEIF ||
         t == T_UNTIL || t == T_BAD;
}

/*
 * A lone await that is returned must not become a tail call: the traceback
 * would lack the line that waits.
 */
static void return_statement(Parser *p) {
  next(p);
  size_t start = p->token.start;
  size_t slot = at_await(p) ? edit_reserve(p, 1) : 0;
  int awaits = at_await(p);
  if (!at_block_end(p) && !test(p, ';')) expressions(p, (Span){0, 0});
  if (awaits && !p->failed && p->awaited.start == start &&
      p->awaited.end == p->last) {
    edit_fill(p, slot, start, 0, put_text(p, "\1return("));
    insert(p, p->last, ")");
  }
  accept(p, ';');
}

/* `await ...` as a statement. */
static void await_statement(Parser *p) {
  await_expression(p);
  if (test(p, '=') || test(p, ',')) fail(p);
  if (p->seam && p->seam == p->last) {
    insert(p, p->seam, ";");
    p->seam = 0;
  }
}

/* A call or an assignment. */
static void expression_statement(Parser *p) {
  Operand operand;
  suffixed(p, &operand, NULL);
  Span name = {0, 0};
  if (test(p, '=') && operand.dotted) name = (Span){operand.start, p->last};
  if (!test(p, '=') && !test(p, ',')) {
    if (operand.ending != E_CALL) fail(p);
    return;
  }
  while (accept(p, ',')) suffixed(p, &operand, NULL);
  expect(p, '=');
  expressions(p, name);
}

static void statement(Parser *p) {
  switch (p->token.type) {
    case ';': case T_BREAK:
      next(p);
      break;
    case T_IF: if_statement(p); break;
    case T_WHILE:
      next(p);
      condition(p);
      loop_body(p);
      break;
    case T_DO: loop_body(p); break;
    case T_FOR: for_statement(p); break;
    case T_REPEAT:
      next(p);
      block(p);
      expect(p, T_UNTIL);
      condition(p);
      break;
    case T_FUNCTION: function_statement(p); break;
    case T_LOCAL: local_statement(p); break;
    case T_LABEL:
      next(p);
      expect(p, T_NAME);
      expect(p, T_LABEL);
      break;
    case T_GOTO:
      next(p);
      expect(p, T_NAME);
      break;
    default:
      if (at_await(p)) await_statement(p);
      else if (at_async(p)) async_statement(p, 0);
      else expression_statement(p);
      break;
  }
}

static void block(Parser *p) {
  while (!at_block_end(p)) {
    if (test(p, T_RETURN)) {
      return_statement(p);
      return;
    }
    if (p->seam && p->seam == p->last && test(p, '(')) {
      insert(p, p->seam, ";");
      p->seam = 0;
    }
    if (enter(p)) statement(p);
    leave(p);
  }
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
  while (i < length && i < 11 && is_digit(name[i]))
    number = number * 10 + (name[i++] - '0');
  if (i > 2 && (number == 0 || i == length || name[i++] != '_')) return -1;
  for (size_t k = 0; k < 6; k++) {
    const char *suffix = our_names[k];
    if (strlen(suffix) == length - i && !memcmp(suffix, name + i, length - i))
      return number;
  }
  return -1;
}

/* Chooses the first spelling of which the source has no name. */
static void choose_prefix(Parser *p, char *prefix, size_t size) {
  size_t count = p->taken_count + 1, n = 0;
  char *used = calloc(count, 1);
  if (!used) {
    starve(p);
    return;
  }
  for (size_t i = 0; i < p->taken_count; i++) {
    Span s = p->taken[i];
    long number = spelling_of(p->source + s.start, s.end - s.start);
    if (number >= 0 && (size_t)number < count) used[number] = 1;
  }
  while (n < count - 1 && used[n]) n++;
  free(used);
  if (n == 0) snprintf(prefix, size, "__");
  else snprintf(prefix, size, "__%zu_", n);
}

/* == The text ========================================================== */

/* Copies text with the prefix filled in; if `to` is NULL it only counts. */
static size_t expand(const char *text, size_t length, const char *prefix,
                     char *to) {
  size_t written = 0, prefix_length = strlen(prefix);
  for (size_t i = 0; i < length; i++) {
    size_t size = text[i] == PREFIX ? prefix_length : 1;
    if (to) memcpy(to + written, text[i] == PREFIX ? prefix : text + i, size);
    written += size;
  }
  return written;
}

/* Copies what an edit puts in. */
static size_t edit_expand(const Parser *p, const Edit *e, const char *prefix,
                          char *to) {
  return e->length ? expand(p->text + e->text, e->length, prefix, to) : 0;
}

static void apply(Parser *p, np_Translation *out) {
  size_t length = p->length, read = 0, written = 0;
  for (size_t i = 0; i < p->edit_count; i++)
    length += edit_expand(p, &p->edits[i], out->prefix, NULL) - p->edits[i].cut;
  char *text = malloc(length + 1);
  if (!text) {
    starve(p);
    return;
  }
  for (size_t i = 0; i < p->edit_count; i++) {
    const Edit *e = &p->edits[i];
    if (e->cut == 0 && e->length == 0) continue;
    assert(e->at >= read);
    memcpy(text + written, p->source + read, e->at - read);
    written += e->at - read;
    written += edit_expand(p, e, out->prefix, text + written);
    read = e->at + e->cut;
  }
  memcpy(text + written, p->source + read, p->length - read);
  text[length] = '\0';
  out->text = text;
  out->length = length;
}

static int has_edits(const Parser *p) {
  for (size_t i = 0; i < p->edit_count; i++)
    if (p->edits[i].cut || p->edits[i].length) return 1;
  return 0;
}

static void translate(Parser *p, np_Translation *out) {
  next(p);
  block(p);
  if (!test(p, T_END)) fail(p);
  out->balanced = !p->failed;
  if (p->starved || !has_edits(p)) return;
  choose_prefix(p, out->prefix, sizeof(out->prefix));
  if (!p->starved) apply(p, out);
}

/* == The door ========================================================== */

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
    if (is_alpha(before) || is_digit(before)) continue;
    if (!is_alpha(after) && !is_digit(after)) return 1;
  }
  return 0;
}

int np_translate_mentions(const char *source, size_t length) {
  return mentions(source, length, "await", 1) ||
         mentions(source, length, "async", 2);
}

int np_translate(const char *source, size_t length, np_Translation *out) {
  Parser p = {.source = source, .length = length, .token = {.type = ';'}};
  memset(out, 0, sizeof(*out));
  out->balanced = 1;
  strcpy(out->prefix, "__");
  if (!np_translate_mentions(source, length)) return 0;
  translate(&p, out);
  free(p.edits);
  free(p.text);
  free(p.taken);
  return p.starved ? -1 : 0;
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
  size_t head_length = expand(head, sizeof(head) - 1, t->prefix, NULL);
  size_t total = head_length + t->length + sizeof(tail) - 1;
  char *text = malloc(total + 1);
  if (!text) return NULL;
  expand(head, sizeof(head) - 1, t->prefix, text);
  memcpy(text + head_length, t->text, t->length);
  memcpy(text + head_length + t->length, tail, sizeof(tail));
  *length = total;
  return text;
}
