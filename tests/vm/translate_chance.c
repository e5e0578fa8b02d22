/* translate_chance.c - the translator on programs made by chance, against
   what Lua makes of the text that they ought to become. */
#include <stdint.h>

#include "translate.h"

/*
 * Each program is written three times, token by token with the same blanks:
 * as neap's source, as the plain Lua that it ought to become, and as the
 * Lua that it would be without the two words.
 */
enum { SOURCE, TEXT, PLAIN, VERSIONS };

typedef struct Program {
  char bytes[VERSIONS][1 << 18];
  size_t length[VERSIONS];
  struct {
    size_t at[VERSIONS];
    int loose;         /* cut here, the versions mean different things */
  } tokens[1 << 14];
  size_t count;
  int loose;           /* this many awaits that are statements are open */
  int keyword;         /* the token before is one of the two words */
  int depth, labels;
  int vararg;          /* `...` may be used here */
  size_t most;         /* tokens, about */
} Program;

static uint64_t seed;

static unsigned rnd(unsigned n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(seed >> 33) % n;
}

static int is_full(const Program *g) { return g->count > g->most; }

static void append(Program *g, int version, const char *text) {
  size_t n = strlen(text);
  if (g->length[version] + n >= sizeof(g->bytes[0])) abort();
  memcpy(g->bytes[version] + g->length[version], text, n + 1);
  g->length[version] += n;
}

static void emit3(Program *g, const char *source, const char *text,
                  const char *plain) {
  static const char *const inline_gaps[] = {" ", "  ", "\t", " --[[ c ]] ",
                                            " --[=[]]]=] "};
  static const char *const gaps[] = {"\n", "\r\n", " -- await c\n",
                                     " --[[ async\n ]] "};
  const char *gap = rnd(3) || g->keyword ? inline_gaps[rnd(10) ? 0 : rnd(5)]
                                         : gaps[rnd(3) ? 0 : rnd(4)];
  if (g->count >= 1 << 14) abort();
  for (int v = 0; v < VERSIONS; v++) {
    append(g, v, gap);
    g->tokens[g->count].at[v] = g->length[v];
  }
  g->tokens[g->count].loose = g->loose || g->keyword;
  g->count++;
  append(g, SOURCE, source);
  append(g, TEXT, text);
  append(g, PLAIN, plain);
  g->keyword = 0;
}

static void emit(Program *g, const char *token) {
  emit3(g, token, token, token);
}

static const char *random_name(void) {
  static const char *const names[] = {"a", "b", "f", "g", "await", "async",
                                      "self", "_ENV", "x1", "_"};
  return names[rnd(rnd(4) ? 4 : 10)];
}

static void gen_expression(Program *g);
static void gen_block(Program *g);

static void gen_list(Program *g) {
  gen_expression(g);
  while (rnd(3) == 0) {
    emit(g, ",");
    gen_expression(g);
  }
}

static void gen_table(Program *g) {
  emit(g, "{");
  while (rnd(2)) {
    if (rnd(4) == 0) {
      emit(g, "[");
      gen_expression(g);
      emit(g, "]");
      emit(g, "=");
    }
    gen_expression(g);
    emit(g, rnd(2) ? "," : ";");
  }
  emit(g, "}");
}

/* An argument list; `first` and `last` are put into the expected text. */
static void gen_arguments(Program *g, const char *paren, const char *comma,
                          const char *close) {
  static const char *const strings[] = {"'s'", "[[s]]", "\"\\\n\"",
                                        "[=[\n]]]=]"};
  char text[300];
  switch (rnd(5)) {
    case 0:
      snprintf(text, sizeof(text), "%s%s", comma, strings[rnd(1)]);
      snprintf(text, sizeof(text), "%s'q'%s", comma, close);
      emit3(g, "'q'", text, "'q'");
      break;
    case 1: {
      const char *s = strings[rnd(4)];
      snprintf(text, sizeof(text), "%s%s%s", comma, s, close);
      emit3(g, s, text, s);
      break;
    }
    case 2:
      snprintf(text, sizeof(text), "%s{", comma);
      emit3(g, "{", text, "{");
      if (rnd(2)) gen_list(g);
      snprintf(text, sizeof(text), "}%s", close);
      emit3(g, "}", text, "}");
      break;
    default:
      if (rnd(2)) {
        /* `paren` ends before the comma that only arguments need. */
        emit3(g, "(", paren, "(");
      } else {
        snprintf(text, sizeof(text), "%s", comma[0] ? comma : paren);
        emit3(g, "(", text, "(");
        gen_list(g);
      }
      emit3(g, ")", paren[0] || !close[0] ? ")" : close, ")");
      break;
  }
}

static void gen_plain_arguments(Program *g) {
  gen_arguments(g, "(", "", "");
}

/* `.name`, `[i]` or a call, none of them awaited. */
static void gen_suffix(Program *g) {
  switch (rnd(4)) {
    case 0:
      emit(g, ".");
      emit(g, random_name());
      break;
    case 1:
      emit(g, "[");
      gen_expression(g);
      emit(g, "]");
      break;
    case 2:
      emit(g, ":");
      emit(g, random_name());
      /* fall through */
    default: gen_plain_arguments(g); break;
  }
}

/* An expression that may be called: gives 0 if it is no call itself. */
static int gen_suffixed(Program *g) {
  int call = 0;
  if (rnd(4) == 0) {
    emit(g, "(");
    gen_expression(g);
    emit(g, ")");
  } else {
    static const char *const safe[] = {"a", "b", "f", "g"};
    emit(g, safe[rnd(4)]);
  }
  while (rnd(3) == 0) {
    size_t before = g->count;
    gen_suffix(g);
    char last = g->bytes[SOURCE][g->length[SOURCE] - 1];
    call = before != g->count && last != ']' && (last == ')' || last == '}' ||
           last == '\'' || last == '"');
  }
  return call;
}

/* `kind` is 1 for a function whose parenthesis was written before, 2 and 3
   for a method without and with parameters. */
static void gen_body(Program *g, int kind) {
  int outside = g->vararg;
  g->vararg = 0;
  static const char *const opens[] = {"(", "", "", ""};
  emit3(g, "(", opens[kind], "(");
  if (kind != 2) {
    for (int more = 1; more; more = rnd(2)) {
      if (rnd(4) == 0) {
        emit(g, "...");
        g->vararg = 1;
        break;
      }
      emit(g, random_name());
      if (!rnd(2)) break;
      emit(g, ",");
      emit(g, "z");
      break;
    }
  }
  emit(g, ")");
  gen_block(g);
  g->vararg = outside;
}

static void gen_word(Program *g, const char *word, const char *text,
                     const char *plain) {
  emit3(g, word, text, plain);
  g->keyword = 1;
}

static void gen_async_expression(Program *g) {
  gen_word(g, "async", "__async(nil,", "");
  emit(g, "function");
  gen_body(g, 0);
  emit3(g, "end", "end)", "end");
}

/* The operand of an await, with what it becomes. */
static void gen_await(Program *g, const char *plain) {
  static const char *const suffix[] = {" or __nil'%s']", " or __nil'.%s']",
                                       " or __nil':%s']"};
  const char *name = random_name(), *last = name;
  char text[300];
  int kind = (int)rnd(6);
  int chain = (int)rnd(3), ending = 0;
  gen_word(g, "await", kind == 0 ? "__call[" : kind == 1 ? "__call["
                       : kind == 2 ? "__method(" : "__await(", plain);
  if (kind == 5) {
    gen_async_expression(g);
    append(g, TEXT, ")");
    return;
  }
  if (kind == 4) {
    gen_await(g, "");
    append(g, TEXT, ")");
    return;
  }
  /* `await` and `async` would be keywords themselves before a name. */
  if (!strcmp(name, "await") || !strcmp(name, "async")) last = name = "f";
  emit(g, name);
  for (; (kind != 1 && chain > 0) || (kind == 2 && !ending); chain--) {
    if (kind != 2 && rnd(2)) {
      emit(g, "[");
      gen_expression(g);
      emit(g, "]");
      ending = 2;
    } else if (rnd(2)) {
      last = random_name();
      emit(g, ".");
      emit(g, last);
      ending = 1;
    } else {
      gen_plain_arguments(g);
      ending = 2;
    }
  }
  if (kind == 0) {
    if (ending == 2) {
      append(g, TEXT, "]");
    } else {
      snprintf(text, sizeof(text), suffix[ending], last);
      append(g, TEXT, text);
    }
    gen_plain_arguments(g);
  } else if (kind == 1) {
    char open[64], comma[64];
    const char *method = random_name();
    emit3(g, ":", ".", ":");
    emit(g, method);
    snprintf(text, sizeof(text), suffix[2], method);
    append(g, TEXT, text);
    snprintf(open, sizeof(open), "(%s", name);
    snprintf(comma, sizeof(comma), "(%s,", name);
    gen_arguments(g, open, comma, ")");
  } else if (kind == 2) {
    const char *method = random_name();
    snprintf(text, sizeof(text), ending == 1 ? " or __nil'%s.'," : ",", last);
    emit3(g, ":", text, ":");
    snprintf(text, sizeof(text), "'%s'", method);
    emit3(g, method, text, method);
    gen_arguments(g, "", ",", ")");
  } else {
    /* A call at the end would have been another kind. */
    if (ending == 2 && g->bytes[SOURCE][g->length[SOURCE] - 1] != ']') {
      emit(g, ".");
      emit(g, "x");
    } else if (ending == 2) {
      emit(g, ".");
      emit(g, "y");
    }
    append(g, TEXT, ")");
  }
}

static void gen_simple(Program *g) {
  static const char *const atoms[] = {"nil", "true", "1", "0x1p4", "3.5e-1",
                                      "'await f()'", "[[async\nfunction]]",
                                      "a", "'\\z  \n x'", "..."};
  switch (g->depth > 12 || is_full(g) ? 0 : rnd(9)) {
    case 1: gen_table(g); break;
    case 2:
      emit(g, "function");
      gen_body(g, 0);
      emit(g, "end");
      break;
    case 3: case 4: gen_await(g, ""); break;
    case 5: gen_async_expression(g); break;
    case 6: case 7: gen_suffixed(g); break;
    default: emit(g, atoms[rnd(g->vararg ? 10 : 9)]); break;
  }
}

static void gen_expression(Program *g) {
  static const char *const unary[] = {"-", "not", "#", "~"};
  static const char *const binary[] = {
    "+", "-", "*", "/", "//", "%", "^", "..", "==", "~=", "<", "<=", ">",
    ">=", "and", "or", "&", "|", "~", "<<", ">>"
  };
  g->depth++;
  if (rnd(8) == 0) emit(g, unary[rnd(4)]);
  gen_simple(g);
  if (rnd(6) == 0) {
    emit(g, binary[rnd(21)]);
    gen_simple(g);
  }
  g->depth--;
}

/* `async function NAME` with all that may be in the name. */
static void gen_async_statement(Program *g) {
  const char *names[8], *marks[8];
  char target[100] = "", name[100] = "", text[300];
  int count = 1 + (int)rnd(3), method = rnd(2) ? 2 + (int)rnd(2) : 0;
  for (int i = 0; i < count; i++) {
    names[i] = random_name();
    marks[i] = i == 0 ? "" : i == count - 1 && method ? ":" : ".";
    strcat(strcat(target, i ? "." : ""), names[i]);
    strcat(strcat(name, marks[i]), names[i]);
  }
  if (count == 1 || !method) method = 1;
  snprintf(text, sizeof(text), "%s=__async('%s',function%s", target, name,
           method == 1 ? "(" : method == 2 ? "(self" : "(self,");
  gen_word(g, "async", "", "");
  emit3(g, "function", text, "function");
  for (int i = 0; i < count; i++) {
    if (i) emit3(g, marks[i], "", marks[i]);
    emit3(g, names[i], "", names[i]);
  }
  gen_body(g, method);
  emit3(g, "end", "end);", "end");
}

static void gen_local_async(Program *g) {
  char text[100];
  const char *name = random_name();
  emit(g, "local");
  gen_word(g, "async", "", "");
  snprintf(text, sizeof(text), "%s %s=__async('%s',function", name, name,
           name);
  emit3(g, "function", text, "function");
  emit3(g, name, "", name);
  gen_body(g, 0);
  emit3(g, "end", "end);", "end");
}

static void gen_end(Program *g, const char *head) {
  emit(g, head);
  gen_block(g);
  emit(g, "end");
}

static void gen_assignment(Program *g) {
  static const char *const targets[] = {"a", "b", "f", "g"};
  emit(g, targets[rnd(4)]);
  if (rnd(3) == 0) {
    emit(g, "[");
    gen_expression(g);
    emit(g, "]");
  }
  /* Two, so that an async function gets no name from it. */
  emit(g, ",");
  emit(g, "b");
  emit(g, "=");
  gen_expression(g);
  emit(g, ",");
  gen_expression(g);
}

static void gen_statement(Program *g) {
  switch (rnd(17)) {
    case 0: gen_end(g, "do"); break;
    case 1:
      emit(g, "while");
      gen_expression(g);
      gen_end(g, "do");
      break;
    case 2:
      emit(g, "repeat");
      gen_block(g);
      emit(g, "until");
      gen_expression(g);
      break;
    case 3:
      emit(g, "if");
      gen_expression(g);
      emit(g, "then");
      gen_block(g);
      if (rnd(2)) {
        emit(g, "elseif");
        gen_expression(g);
        emit(g, "then");
        gen_block(g);
      }
      if (rnd(2)) gen_end(g, "else");
      else emit(g, "end");
      break;
    case 4:
      emit(g, "for");
      emit(g, random_name());
      emit(g, "=");
      gen_expression(g);
      emit(g, ",");
      gen_expression(g);
      gen_end(g, "do");
      break;
    case 5:
      emit(g, "for");
      emit(g, random_name());
      emit(g, ",");
      emit(g, random_name());
      emit(g, "in");
      gen_list(g);
      gen_end(g, "do");
      break;
    case 6: case 7: gen_async_statement(g); break;
    case 8: gen_local_async(g); break;
    case 9:
      emit(g, "local");
      if (rnd(2)) {
        emit(g, random_name());
      } else {
        /* A name that nothing assigns to. */
        emit(g, "k");
        emit(g, "<");
        emit(g, rnd(4) ? "const" : "close");
        emit(g, ">");
      }
      emit(g, ",");
      emit(g, "v");
      emit(g, "=");
      gen_list(g);
      break;
    case 10: case 11:
      g->loose++;
      gen_await(g, "a =");
      g->loose--;
      break;
    case 12:
      emit(g, "function");
      emit(g, random_name());
      if (rnd(2)) {
        emit(g, ":");
        emit(g, random_name());
      }
      gen_body(g, 0);
      emit(g, "end");
      break;
    case 13: {
      char label[32];
      snprintf(label, sizeof(label), "l%d", g->labels++);
      emit(g, "goto");
      emit(g, label);
      emit(g, "::");
      emit(g, label);
      emit(g, "::");
      break;
    }
    case 14:
      /* Goes on only in the expected text if the async had not ended. */
      emit(g, "a");
      emit(g, "=");
      emit(g, "b");
      emit(g, ",");
      gen_async_expression(g);
      append(g, TEXT, ";");
      emit(g, "(");
      emit(g, "f");
      emit(g, ")");
      emit(g, "(");
      emit(g, ")");
      break;
    case 15:
      emit(g, "f");
      gen_plain_arguments(g);
      break;
    default: gen_assignment(g); break;
  }
}

static void gen_block(Program *g) {
  g->depth += 2;
  while (rnd(4) && g->depth < 16 && !is_full(g)) {
    gen_statement(g);
    if (rnd(3) == 0) emit(g, ";");
  }
  if (rnd(5) == 0) {
    emit(g, "return");
    if (rnd(2)) { /* a lone await, which is wrapped, is in the table */
      emit(g, "1");
      emit(g, ",");
      gen_list(g);
    }
    if (rnd(2)) emit(g, ";");
  }
  g->depth -= 2;
}

typedef struct Dump {
  char *bytes;
  size_t length;
} Dump;

static int dump_writer(lua_State *L, const void *bytes, size_t n, void *dump) {
  Dump *d = dump;
  (void)L;
  d->bytes = realloc(d->bytes, d->length + n);
  memcpy(d->bytes + d->length, bytes, n);
  d->length += n;
  return 0;
}

/* The byte code with names and lines, or Lua's message. */
static Dump compile(lua_State *L, const char *text, size_t length) {
  Dump d = {NULL, 0};
  const char *message = refusal(L, text, length);
  if (message) dump_writer(L, message, strlen(message) + 1, &d);
  else lua_dump(L, dump_writer, &d, 0);
  return d;
}

/* The translation and the expected text are one program to Lua. */
static void compare_program(lua_State *L, Program *g) {
  np_Translation t;
  size_t length;
  np_translate(g->bytes[SOURCE], g->length[SOURCE], &t);
  const char *text =
      result(&t, g->bytes[SOURCE], g->length[SOURCE], &length);
  Dump got = compile(L, text, length);
  Dump want = compile(L, g->bytes[TEXT], g->length[TEXT]);
  if (got.length != want.length ||
      memcmp(got.bytes, want.bytes, got.length) != 0)
    complain("another program than", g->bytes[TEXT], "is %s (%s) from %s",
             text, got.bytes[0] == 'x' ? got.bytes : "it compiles",
             g->bytes[SOURCE]);
  if (t.text && t.balanced && got.bytes[0] != 'x' && !wrapped_compiles(L, &t))
    complain("does not compile wrapped", g->bytes[SOURCE], "%s", text);
  free(got.bytes);
  free(want.bytes);
  np_translation_free(&t);
}

/* The end of a long text, enough to see a mistake. */
static const char *tail(const char *text) {
  size_t n = strlen(text);
  return n > 200 ? text + n - 200 : text;
}

/*
 * Takes the line out of `(to close '(' at line 1)`: in a table Lua takes it
 * from the token after the first one, which need not be the same.
 */
static void forget_line(char *message) {
  static const char mark[] = "(to close '(' at line ";
  char *from = strstr(message, mark);
  if (!from) return;
  from += sizeof(mark) - 1;
  memmove(from, from + strspn(from, "0123456789"),
          strlen(from + strspn(from, "0123456789")) + 1);
}

/*
 * Cuts the program at a token, puts another one there, and wants to hear of
 * it what Lua says of the program without the two words.
 */
static void compare_mistake(lua_State *L, Program *g) {
  static const char *const junk[] = {"", "=", ")", "end", "(", "'s'", "{",
                                     "x", "1", ".", ":", "@", "until", ",",
                                     "]", "then", "...", "function", "await",
                                     "local", "in", "[", "..", "'s", "[=["};
  size_t k = rnd((unsigned)g->count);
  if (g->tokens[k].loose || (k > 0 && g->tokens[k - 1].loose)) return;
  const char *token = junk[rnd(25)];
  char *texts[VERSIONS];
  size_t length = 0;
  for (int v = 0; v < VERSIONS; v++) {
    size_t at = g->tokens[k].at[v];
    texts[v] = malloc(at + 16);
    memcpy(texts[v], g->bytes[v], at);
    strcpy(texts[v] + at, token);
  }
  np_Translation t;
  np_translate(texts[SOURCE], strlen(texts[SOURCE]), &t);
  const char *text = result(&t, texts[SOURCE], strlen(texts[SOURCE]), &length);
  const char *message = refusal(L, texts[PLAIN], strlen(texts[PLAIN]));
  char want[1000], got[1000];
  snprintf(want, sizeof(want), "%s", message ? message : "");
  message = refusal(L, text, length);
  snprintf(got, sizeof(got), "%s", message ? message : "");
  forget_line(want);
  forget_line(got);
  if (strcmp(got, want) != 0)
    complain(want, tail(texts[SOURCE]), "got %s for %s", got, tail(text));
  if (t.text && !t.balanced && !message)
    complain("balanced", tail(texts[SOURCE]), "%s", tail(text));
  np_translation_free(&t);
  for (int v = 0; v < VERSIONS; v++) free(texts[v]);
}

static void test_chance(lua_State *L, unsigned rounds) {
  Program *g = malloc(sizeof(*g));
  for (unsigned i = 1; i <= rounds; i++) {
    seed = i * 7919u;
    memset(g->length, 0, sizeof(g->length));
    g->count = 0;
    g->loose = g->keyword = g->depth = g->labels = 0;
    g->vararg = 1;
    g->most = 20 + rnd(300);
    gen_block(g);
    if (g->count == 0) continue;
    compare_program(L, g);
    for (int k = 0; k < 10; k++) compare_mistake(L, g);
  }
  free(g);
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  test_chance(L, argc > 1 ? (unsigned)atoi(argv[1]) : 3000);
  lua_close(L);
  if (failures) printf("%d failures\n", failures);
  return failures != 0;
}
