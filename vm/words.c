/*
 * words.c - what becomes of `async function` and `await`.
 *
 * Each of them is parsed where parser.c finds it, and leaves edits behind.
 */
#include <string.h>

#include "parser.h"

/* The token is `word`, with one of `type` after it on the same line. */
static int is_word(np_Parser *p, const char *word, int type) {
  const np_Token *t = &p->token;
  if (t->type != T_NAME || t->end - t->start != 5) return 0;
  if (memcmp(p->lexer.source + t->start, word, 5) != 0) return 0;
  t = np_parse_look(p);
  return t->type == type && !t->fresh;
}

int np_word_at_await(np_Parser *p) {
  return is_word(p, "await", T_NAME);
}

int np_word_at_async(np_Parser *p) {
  return is_word(p, "async", T_FUNCTION);
}

/* The token would go on calling or indexing an expression before it. */
static int at_suffix(const np_Parser *p) {
  int t = p->token.type;
  return t == '(' || t == T_STRING || t == '{' || t == '[' || t == '.' ||
         t == ':';
}

/* == Edits ============================================================= */

static size_t put_text(np_Parser *p, const char *text) {
  return np_edits_put(p->edits, text, strlen(text));
}

static size_t put_span(np_Parser *p, np_Span s) {
  return np_edits_put(p->edits, p->lexer.source + s.start, s.end - s.start);
}

static size_t edit_reserve(np_Parser *p, size_t count) {
  return np_edits_reserve(p->edits, count);
}

static void edit_fill(np_Parser *p, size_t index, size_t at, size_t cut,
                      size_t text) {
  np_edits_fill(p->edits, index, at, cut, text);
}

static void edit_add(np_Parser *p, size_t at, size_t cut, size_t text) {
  np_edits_add(p->edits, at, cut, text);
}

static void insert(np_Parser *p, size_t at, const char *text) {
  edit_add(p, at, 0, put_text(p, text));
}

/* The piece from `from` to `to`, or to `end` if only blanks lie between. */
static size_t blanks_cut(const np_Parser *p, size_t from, size_t end,
                         size_t to) {
  for (size_t i = end; i < to; i++) {
    int c = np_byte_at(&p->lexer, i);
    if (!np_is_space(c) || np_is_newline(c)) return end - from;
  }
  return to - from;
}

void np_word_seam(np_Parser *p, const char *text) {
  if (p->seam == 0 || p->seam != p->last) return;
  insert(p, p->seam, text);
  p->seam = 0;
}

/* == async ============================================================== */

/* Puts a name into quotes, or "nil" if there is none or it is not plain. */
static void put_quoted(np_Parser *p, np_Span name) {
  int plain = name.end > name.start;
  for (size_t i = name.start; plain && i < name.end; i++) {
    int c = np_byte_at(&p->lexer, i);
    plain = np_is_alpha(c) || np_is_digit(c) || c == '.';
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
void np_word_async(np_Parser *p, np_Span name) {
  np_Token async = p->token;
  np_parse_next(p);
  size_t text = put_text(p, "\1async(");
  put_quoted(p, name);
  put_text(p, ",");
  edit_add(p, async.start,
           blanks_cut(p, async.start, async.end, p->token.start), text);
  np_parse_next(p);
  np_parse_body(p);
  if (p->failed) return;
  insert(p, p->last, ")");
  p->seam = at_suffix(p) ? p->last : 0;
}

/* The end of an async function that is a statement, not an operand. */
static void async_end(np_Parser *p) {
  if (p->failed) return;
  int goes_on = at_suffix(p) || np_parse_at_binary(p) || np_parse_at(p, ',');
  insert(p, p->last, goes_on ? ");" : ")");
}

/* Takes a token of a name and cuts it. */
static void cut_token(np_Parser *p, int type) {
  np_Token t = p->token;
  np_parse_expect(p, type);
  if (!p->failed) edit_add(p, t.start, t.end - t.start, p->edits->text_length);
}

/* A name with dots, which is cut; gives 1 if it ends in a method. */
static int cut_name(np_Parser *p, int is_local) {
  cut_token(p, T_NAME);
  if (is_local) return 0;
  while (np_parse_at(p, '.')) {
    cut_token(p, '.');
    cut_token(p, T_NAME);
  }
  if (!np_parse_at(p, ':')) return 0;
  cut_token(p, ':');
  cut_token(p, T_NAME);
  return 1;
}

/* Puts what the edits from `first` on have cut, with a dot for a colon. */
static void put_cut(np_Parser *p, size_t first, char colon) {
  for (size_t i = first; !p->edits->starved && i < p->edits->count; i++) {
    size_t at = p->edits->edits[i].at;
    if (p->lexer.source[at] == ':') np_edits_put(p->edits, &colon, 1);
    else put_span(p, (np_Span){at, at + p->edits->edits[i].cut});
  }
}

/*
 * What comes before the parameters of `async function NAME`, to be put where
 * `function` stands. Lua takes the line of the parenthesis for that of the
 * function, but the line of `function` if it is a statement and not local.
 */
static void put_head(np_Parser *p, size_t first, int is_local,
                     int is_method) {
  put_cut(p, first, '.');
  if (is_local) {
    put_text(p, " ");
    put_cut(p, first, '.');
  }
  put_text(p, "=\1async(\"");
  put_cut(p, first, ':');
  put_text(p, "\",function");
  if (is_local || !np_parse_at(p, '(')) return;
  put_text(p, "(");
  if (is_method) put_text(p, np_parse_look(p)->type == ')' ? "self" : "self,");
}

/*
 * `async function NAME ... end`; `token` is `async`. If the name is wrong, Lua
 * is to complain about it, so nothing but `async` is cut then.
 */
void np_word_async_statement(np_Parser *p, int is_local) {
  np_Token async = p->token, function;
  np_parse_next(p);
  function = p->token;
  edit_add(p, async.start,
           blanks_cut(p, async.start, async.end, function.start),
           p->edits->text_length);
  np_parse_next(p);
  size_t slot = edit_reserve(p, 1);
  size_t name = p->token.start;
  int is_method = cut_name(p, is_local);
  if (p->failed) {
    p->edits->count = slot;
    return;
  }
  size_t text = p->edits->text_length;
  put_head(p, slot + 1, is_local, is_method);
  edit_fill(p, slot, function.start,
            blanks_cut(p, function.start, function.end, name), text);
  if (!is_local && np_parse_at(p, '('))
    edit_add(p, p->token.start, 1, p->edits->text_length);
  np_parse_body(p);
  async_end(p);
}

/* == np_Parser: await ===================================================== */

/* `__call[f or __nil"f"](x)`; a callee without a name has no `or`. */
static void await_function(np_Parser *p, const np_Call *call) {
  size_t text = p->edits->text_length;
  if (call->callee == NP_E_NAME || call->callee == NP_E_FIELD) {
    put_text(p, call->callee == NP_E_NAME ? " or \1nil\"" : " or \1nil\".");
    put_span(p, call->callee_name);
    put_text(p, "\"");
  }
  put_text(p, "]");
  edit_fill(p, call->slots, call->callee_end, 0, text);
}

/* `__call[q.get or __nil":get"](q,x)`, where the object is a variable. */
static void await_variable_method(np_Parser *p, const np_Call *call) {
  int paren = call->open.type == '(';
  edit_fill(p, call->slots, call->colon.start, 1, put_text(p, "."));
  size_t text = put_text(p, " or \1nil\":");
  put_span(p, (np_Span){call->method.start, call->method.end});
  put_text(p, "\"]");
  edit_fill(p, call->slots + 1, call->method.end, 0, text);
  text = put_text(p, "(");
  put_span(p, call->callee_name);
  if (!call->is_empty) put_text(p, ",");
  edit_fill(p, call->slots + 2, call->open.start, paren, text);
  if (!paren) insert(p, p->last, ")");
}

/* `__method(a.b or __nil"b.","c",x)`, for any other object. */
static void await_method(np_Parser *p, const np_Call *call) {
  int paren = call->open.type == '(';
  np_Token method = call->method;
  size_t text = p->edits->text_length;
  if (call->callee == NP_E_FIELD) {
    put_text(p, " or \1nil\"");
    put_span(p, call->callee_name);
    put_text(p, ".\"");
  }
  put_text(p, ",");
  edit_fill(p, call->slots, call->colon.start, 1, text);
  text = put_text(p, "\"");
  put_span(p, (np_Span){method.start, method.end});
  put_text(p, "\"");
  edit_fill(p, call->slots + 1, method.start, method.end - method.start, text);
  text = put_text(p, call->is_empty ? "" : ",");
  edit_fill(p, call->slots + 2, call->open.start, paren, text);
  if (!paren) insert(p, p->last, ")");
}

/* Rewrites an operand that ends in a call; gives what `await` becomes. */
static const char *await_call(np_Parser *p, const np_Call *call) {
  if (!call->is_method) {
    await_function(p, call);
    return "\1call[";
  }
  if (call->callee == NP_E_NAME) {
    await_variable_method(p, call);
    return "\1call[";
  }
  await_method(p, call);
  return "\1method(";
}

void np_word_await(np_Parser *p) {
  np_Token await = p->token;
  const char *opening = "\1await(";
  size_t slot = edit_reserve(p, 1);
  np_parse_next(p);
  size_t cut = blanks_cut(p, await.start, await.end, p->token.start);
  np_Operand operand = {0};
  np_Call call = {0};
  if (np_parse_enter(p)) {
    if (np_word_at_await(p)) {
      np_word_await(p);
    } else if (np_word_at_async(p)) {
      np_word_async(p, (np_Span){0, 0});
    } else {
      np_parse_suffixed(p, &operand, &call);
    }
  }
  np_parse_leave(p);
  if (!p->failed) {
    if (operand.ending == NP_E_CALL) opening = await_call(p, &call);
    else insert(p, p->last, ")");
  }
  edit_fill(p, slot, await.start, cut, put_text(p, opening));
  p->awaited = (np_Span){await.start, p->last};
}

/*
 * A lone await that is returned must not become a tail call: the traceback
 * would lack the line that waits.
 */
void np_word_return(np_Parser *p) {
  np_parse_next(p);
  size_t start = p->token.start;
  size_t slot = np_word_at_await(p) ? edit_reserve(p, 1) : 0;
  int awaits = np_word_at_await(p);
  if (!np_parse_at_end(p) && !np_parse_at(p, ';'))
    np_parse_expressions(p, (np_Span){0, 0});
  if (awaits && !p->failed && p->awaited.start == start &&
      p->awaited.end == p->last) {
    edit_fill(p, slot, start, 0, put_text(p, "\1return("));
    insert(p, p->last, ")");
  }
  np_parse_accept(p, ';');
}

/* `await ...` as a statement. */
void np_word_await_statement(np_Parser *p) {
  np_word_await(p);
  if (np_parse_at(p, '=') || np_parse_at(p, ',')) np_parse_fail(p);
  np_word_seam(p, ";");
}

