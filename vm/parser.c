/*
 * parser.c - parser.h: the grammar of Lua 5.4.
 */
#include "parser.h"

/*
 * How deep the source may nest. Lua counts expressions and statements like
 * this parser does, or faster, and refuses the chunk at 200.
 */
#define DEEPEST 220

static void block(np_Parser *p);
static void expression(np_Parser *p, np_Span name);

/* == np_Parser: tokens ==================================================== */

void np_parse_fail(np_Parser *p) {
  if (p->failed) return;
  np_word_seam(p, " or nil");
  p->failed = 1;
  p->token.type = T_BAD;
}

/* Reads a token; names that begin like ours are kept for the choice of one. */
static void read_token(np_Parser *p, np_Token *t) {
  np_lex(&p->lexer, t);
  if (t->type != T_NAME || t->end - t->start < 3) return;
  const char *name = p->lexer.source + t->start;
  if (name[0] == '_' && name[1] == '_')
    np_edits_avoid(p->edits, (np_Span){t->start, t->end});
}

void np_parse_next(np_Parser *p) {
  if (p->failed) return;
  p->last = p->token.end;
  if (p->looked) {
    p->token = p->ahead;
    p->looked = 0;
  } else if (p->token.type != T_END) {
    read_token(p, &p->token);
  }
  if (p->edits->starved) np_parse_fail(p);
}

const np_Token *np_parse_look(np_Parser *p) {
  if (!p->looked) {
    if (p->token.type == T_END || p->token.type == T_BAD) return &p->token;
    read_token(p, &p->ahead);
    p->looked = 1;
  }
  return &p->ahead;
}

int np_parse_accept(np_Parser *p, int type) {
  if (!np_parse_at(p, type)) return 0;
  np_parse_next(p);
  return 1;
}

void np_parse_expect(np_Parser *p, int type) {
  if (!np_parse_accept(p, type)) np_parse_fail(p);
}

int np_parse_enter(np_Parser *p) {
  if (++p->depth > DEEPEST) np_parse_fail(p);
  return !p->failed;
}

void np_parse_leave(np_Parser *p) { p->depth--; }

int np_parse_at_binary(const np_Parser *p) {
  int t = p->token.type;
  return t == T_BINARY || t == T_AND || t == T_OR || t == '-' || t == '<' ||
         t == '>' || t == '~';
}

static int at_unary(const np_Parser *p) {
  int t = p->token.type;
  return t == '-' || t == T_NOT || t == '#' || t == '~';
}

/* == np_Parser: functions ================================================= */

void np_parse_body(np_Parser *p) {
  np_parse_expect(p, '(');
  if (!np_parse_at(p, ')')) {
    do {
      if (np_parse_accept(p, T_DOTS)) break;
      np_parse_expect(p, T_NAME);
    } while (np_parse_accept(p, ','));
  }
  np_parse_expect(p, ')');
  block(p);
  np_parse_expect(p, T_ENDWORD);
}

/* == np_Parser: suffixed expressions ====================================== */

/* The fields between `{` and `}`. */
static void table(np_Parser *p) {
  np_parse_expect(p, '{');
  while (!np_parse_at(p, '}') && !p->failed) {
    np_Span name = {0, 0};
    if (np_parse_accept(p, '[')) {
      expression(p, name);
      np_parse_expect(p, ']');
      np_parse_expect(p, '=');
    } else if (np_parse_at(p, T_NAME) && np_parse_look(p)->type == '=') {
      name = (np_Span){p->token.start, p->token.end};
      np_parse_next(p);
      np_parse_next(p);
    }
    expression(p, name);
    if (!np_parse_accept(p, ',') && !np_parse_accept(p, ';')) break;
  }
  np_parse_expect(p, '}');
}

void np_parse_expressions(np_Parser *p, np_Span name) {
  expression(p, name);
  while (np_parse_accept(p, ',')) expression(p, (np_Span){0, 0});
}

/* The arguments of a call; gives 1 if they are `()`. */
static int arguments(np_Parser *p) {
  if (np_parse_at(p, '{')) {
    table(p);
    return 0;
  }
  if (np_parse_accept(p, T_STRING)) return 0;
  np_parse_expect(p, '(');
  if (np_parse_accept(p, ')')) return 1;
  np_parse_expressions(p, (np_Span){0, 0});
  np_parse_expect(p, ')');
  return 0;
}

/* `:name` and arguments, or arguments alone; notes them for an await. */
static void call_suffix(np_Parser *p, np_Operand *o, np_Call *call) {
  call->callee = o->ending;
  call->callee_name = o->last_name;
  call->callee_end = p->last;
  call->colon = p->token;
  call->is_method = np_parse_accept(p, ':');
  if (call->is_method) {
    call->method = p->token;
    np_parse_expect(p, T_NAME);
  }
  call->open = p->token;
  call->is_empty = arguments(p);
  o->ending = NP_E_CALL;
}

/* What may follow a name or a group. With `call`, the last call is noted. */
static void suffixes(np_Parser *p, np_Operand *o, np_Call *call) {
  np_Call scratch;
  for (;;) {
    switch (p->token.type) {
      case '.':
        np_parse_next(p);
        o->ending = NP_E_FIELD;
        o->last_name = (np_Span){p->token.start, p->token.end};
        np_parse_expect(p, T_NAME);
        break;
      case '[':
        np_parse_next(p);
        expression(p, (np_Span){0, 0});
        np_parse_expect(p, ']');
        o->ending = NP_E_INDEX;
        o->dotted = 0;
        break;
      case ':': case '(': case '{': case T_STRING:
        o->dotted = 0;
        if (call) call->slots = np_edits_reserve(p->edits, 3);
        call_suffix(p, o, call ? call : &scratch);
        break;
      default: return;
    }
  }
}

void np_parse_suffixed(np_Parser *p, np_Operand *o, np_Call *call) {
  o->start = p->token.start;
  o->last_name = (np_Span){p->token.start, p->token.end};
  if (np_parse_accept(p, '(')) {
    expression(p, (np_Span){0, 0});
    np_parse_expect(p, ')');
    o->ending = NP_E_GROUP;
    o->dotted = 0;
  } else {
    np_parse_expect(p, T_NAME);
    o->ending = NP_E_NAME;
    o->dotted = 1;
  }
  suffixes(p, o, call);
}

/* == np_Parser: expressions =============================================== */

static void simple_expression(np_Parser *p, np_Span name) {
  np_Operand operand;
  switch (p->token.type) {
    case T_NUMBER: case T_STRING: case T_NIL: case T_TRUE: case T_FALSE:
    case T_DOTS:
      np_parse_next(p);
      break;
    case '{':
      table(p);
      break;
    case T_FUNCTION:
      np_parse_next(p);
      np_parse_body(p);
      break;
    default:
      if (np_word_at_await(p)) np_word_await(p);
      else if (np_word_at_async(p)) np_word_async(p, name);
      else np_parse_suffixed(p, &operand, NULL);
      break;
  }
}

/*
 * An expression; precedence does not matter here. `name` is what it is given
 * to, if that is plain.
 */
static void expression(np_Parser *p, np_Span name) {
  if (np_parse_enter(p)) {
    for (;;) {
      while (at_unary(p)) {
        np_parse_next(p);
        name = (np_Span){0, 0};
      }
      simple_expression(p, name);
      if (!np_parse_at_binary(p)) break;
      np_parse_next(p);
      name = (np_Span){0, 0};
    }
  }
  np_parse_leave(p);
}

/* == np_Parser: statements ================================================ */

static void condition(np_Parser *p) {
  expression(p, (np_Span){0, 0});
}

static void if_statement(np_Parser *p) {
  do {
    np_parse_next(p);
    condition(p);
    np_parse_expect(p, T_THEN);
    block(p);
  } while (np_parse_at(p, T_ELSEIF));
  if (np_parse_accept(p, T_ELSE)) block(p);
  np_parse_expect(p, T_ENDWORD);
}

static void loop_body(np_Parser *p) {
  np_parse_expect(p, T_DO);
  block(p);
  np_parse_expect(p, T_ENDWORD);
}

static void for_statement(np_Parser *p) {
  np_parse_next(p);
  np_parse_expect(p, T_NAME);
  if (np_parse_accept(p, '=')) {
    expression(p, (np_Span){0, 0});
    np_parse_expect(p, ',');
    expression(p, (np_Span){0, 0});
    if (np_parse_accept(p, ',')) expression(p, (np_Span){0, 0});
  } else {
    while (np_parse_accept(p, ',')) np_parse_expect(p, T_NAME);
    np_parse_expect(p, T_IN);
    np_parse_expressions(p, (np_Span){0, 0});
  }
  loop_body(p);
}

static void function_statement(np_Parser *p) {
  np_parse_next(p);
  np_parse_expect(p, T_NAME);
  while (np_parse_accept(p, '.')) np_parse_expect(p, T_NAME);
  if (np_parse_accept(p, ':')) np_parse_expect(p, T_NAME);
  np_parse_body(p);
}

static void local_variables(np_Parser *p) {
  np_Span name = {p->token.start, p->token.end};
  for (;;) {
    np_parse_expect(p, T_NAME);
    if (np_parse_accept(p, '<')) {
      np_parse_expect(p, T_NAME);
      np_parse_expect(p, '>');
    }
    if (!np_parse_accept(p, ',')) break;
    name = (np_Span){0, 0};
  }
  if (np_parse_accept(p, '=')) np_parse_expressions(p, name);
}

static void local_statement(np_Parser *p) {
  np_parse_next(p);
  if (np_parse_accept(p, T_FUNCTION)) {
    np_parse_expect(p, T_NAME);
    np_parse_body(p);
  } else if (np_word_at_async(p)) {
    np_word_async_statement(p, 1);
  } else {
    local_variables(p);
  }
}

int np_parse_at_end(const np_Parser *p) {
  int t = p->token.type;
  return t == T_END || t == T_ENDWORD || t == T_ELSE || t == T_ELSEIF ||
         t == T_UNTIL || t == T_BAD;
}

/* A call or an assignment. */
static void expression_statement(np_Parser *p) {
  np_Operand operand;
  np_parse_suffixed(p, &operand, NULL);
  np_Span name = {0, 0};
  if (np_parse_at(p, '=') && operand.dotted)
    name = (np_Span){operand.start, p->last};
  if (!np_parse_at(p, '=') && !np_parse_at(p, ',')) {
    if (operand.ending != NP_E_CALL) np_parse_fail(p);
    return;
  }
  while (np_parse_accept(p, ',')) np_parse_suffixed(p, &operand, NULL);
  np_parse_expect(p, '=');
  np_parse_expressions(p, name);
}

static void statement(np_Parser *p) {
  switch (p->token.type) {
    case ';': case T_BREAK:
      np_parse_next(p);
      break;
    case T_IF: if_statement(p); break;
    case T_WHILE:
      np_parse_next(p);
      condition(p);
      loop_body(p);
      break;
    case T_DO: loop_body(p); break;
    case T_FOR: for_statement(p); break;
    case T_REPEAT:
      np_parse_next(p);
      block(p);
      np_parse_expect(p, T_UNTIL);
      condition(p);
      break;
    case T_FUNCTION: function_statement(p); break;
    case T_LOCAL: local_statement(p); break;
    case T_LABEL:
      np_parse_next(p);
      np_parse_expect(p, T_NAME);
      np_parse_expect(p, T_LABEL);
      break;
    case T_GOTO:
      np_parse_next(p);
      np_parse_expect(p, T_NAME);
      break;
    default:
      if (np_word_at_await(p)) np_word_await_statement(p);
      else if (np_word_at_async(p)) np_word_async_statement(p, 0);
      else expression_statement(p);
      break;
  }
}

static void block(np_Parser *p) {
  while (!np_parse_at_end(p)) {
    if (np_parse_at(p, T_RETURN)) {
      np_word_return(p);
      return;
    }
    if (np_parse_at(p, '(')) np_word_seam(p, ";");
    if (np_parse_enter(p)) statement(p);
    np_parse_leave(p);
  }
}

/* == The door ========================================================== */

int np_parse(const char *source, size_t length, np_Edits *edits) {
  np_Parser p = {
    .lexer = {.source = source, .length = length},
    .token = {.type = ';'},
    .edits = edits
  };
  np_parse_next(&p);
  block(&p);
  if (!np_parse_at(&p, T_END)) np_parse_fail(&p);
  return !p.failed;
}
