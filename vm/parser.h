/*
 * parser.h - finds the two words in a source and notes what becomes of them.
 *
 * A recursive-descent parser over Lua 5.4's grammar that builds no tree: it
 * only has to know where an expression or a statement may start and where an
 * operand ends. parser.c is the grammar, words.c what `async function` and
 * `await` add to it. It is more lenient than Lua wherever Lua will complain
 * before anything was edited wrongly.
 *
 * Private to the translator. Touches the lexer and the edits only.
 */
#ifndef NP_PARSER_H
#define NP_PARSER_H

#include "edits.h"
#include "lexer.h"

/*
 * Parses a chunk and fills `edits`, which begin as zeros and are the caller's
 * to free. Gives 1 if the source is a whole chunk; else the edits are those
 * of what comes before the mistake. Look at `edits->starved` first.
 */
int np_parse(const char *source, size_t length, np_Edits *edits);

/* == What the two files share ========================================== */

typedef struct np_Parser {
  np_Lexer lexer;
  np_Token token;     /* the one to be parsed */
  np_Token ahead;     /* the one after it, if `looked` */
  int looked;
  size_t last;        /* where the token before `token` ended */
  int depth;
  int failed;         /* `token` is T_BAD from now on */
  np_Span awaited;    /* the await expression that was parsed last */
  size_t seam;        /* the end of an async function expression that what
                         follows it would call or index; 0 if none */
  np_Edits *edits;
} np_Parser;

/* What a suffixed expression turned out to be. */
enum np_Ending { NP_E_NAME, NP_E_FIELD, NP_E_INDEX, NP_E_GROUP, NP_E_CALL };

typedef struct np_Operand {
  size_t start;
  enum np_Ending ending;
  int dotted;         /* nothing but names and dots */
  np_Span last_name;  /* the variable or the last `.name` */
} np_Operand;

/* The last call of an awaited operand. */
typedef struct np_Call {
  enum np_Ending callee;  /* for a method, what the object is */
  np_Span callee_name;
  size_t callee_end;
  int is_method;
  np_Token colon, method, open;
  int is_empty;        /* `()` */
  size_t slots;        /* three edits, reserved in the order of the source */
} np_Call;

/* == parser.c: tokens ================================================== */

/*
 * The token cannot stand here: what follows is left alone. Text that is
 * joined to an async function before it is kept from being taken for a call.
 */
void np_parse_fail(np_Parser *p);

/* Takes the token. */
void np_parse_next(np_Parser *p);

/* The token after this one. */
const np_Token *np_parse_look(np_Parser *p);

/* Takes the token if it is one of `type`. */
int np_parse_accept(np_Parser *p, int type);

/* Takes the token, which must be one of `type`. */
void np_parse_expect(np_Parser *p, int type);

/* The token is one of `type`; a binary operator; the end of a block. */
static inline int np_parse_at(const np_Parser *p, int type) {
  return p->token.type == type;
}
int np_parse_at_binary(const np_Parser *p);
int np_parse_at_end(const np_Parser *p);

/* One level deeper, if that is allowed; and back again in any case. */
int np_parse_enter(np_Parser *p);
void np_parse_leave(np_Parser *p);

/* == parser.c: grammar ================================================= */

/* Parameters and body of a function, from `(` to `end`. */
void np_parse_body(np_Parser *p);

/* One or more of them; the name is for the first. */
void np_parse_expressions(np_Parser *p, np_Span name);

/* A name or a group, with suffixes. With `call`, the last call is noted. */
void np_parse_suffixed(np_Parser *p, np_Operand *o, np_Call *call);

/* == words.c =========================================================== */

/* The token is `await` with a name after it on the same line. */
int np_word_at_await(np_Parser *p);

/* The token is `async` with `function` after it on the same line. */
int np_word_at_async(np_Parser *p);

/* `await ...` as an expression and as a statement. */
void np_word_await(np_Parser *p);
void np_word_await_statement(np_Parser *p);

/* `async function ... end` as an expression that is given to `name`. */
void np_word_async(np_Parser *p, np_Span name);

/* `async function NAME ... end`, after `local` or not. */
void np_word_async_statement(np_Parser *p, int is_local);

/* `return ...`, which may await. */
void np_word_return(np_Parser *p);

/*
 * If the token before this one ends an async function that what follows would
 * call, puts `text` between them.
 */
void np_word_seam(np_Parser *p, const char *text);

#endif
