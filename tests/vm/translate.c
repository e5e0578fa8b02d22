/* translate.c - tests of vm/translate.h: what is written, case by case,
   against what Lua itself makes of it. */
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static long allowed = -1; /* allocations until memory is out; -1: never */

static int test_refuses(void) {
  if (allowed < 0) return 0;
  return allowed == 0 ? 1 : (allowed--, 0);
}

static void *test_malloc(size_t size) {
  return test_refuses() ? NULL : malloc(size);
}

static void *test_calloc(size_t count, size_t size) {
  return test_refuses() ? NULL : calloc(count, size);
}

static void *test_realloc(void *block, size_t size) {
  return test_refuses() ? NULL : realloc(block, size);
}

#define malloc test_malloc
#define calloc test_calloc
#define realloc test_realloc
#include "../../vm/edits.c"
#include "../../vm/lexer.c"
#include "../../vm/parser.c"
#include "../../vm/translate.c"
#include "../../vm/words.c"
#undef malloc
#undef calloc
#undef realloc

#include "translate.h"

/* == Sources and what becomes of them ================================== */

static const struct {
  const char *source, *text;
} good[] = {
  /* calls */
  {"await f(x)", "__call[f or __nil\"f\"](x)"},
  {"await f()", "__call[f or __nil\"f\"]()"},
  {"await f (x)", "__call[f or __nil\"f\"] (x)"},
  {"await f\n(x)", "__call[f or __nil\"f\"]\n(x)"},
  {"await f 's'", "__call[f or __nil\"f\"] 's'"},
  {"await f[[s]]", "__call[f or __nil\"f\"][[s]]"},
  {"await f{x}", "__call[f or __nil\"f\"]{x}"},
  {"await a.b.f(x)", "__call[a.b.f or __nil\".f\"](x)"},
  {"await a[1](x)", "__call[a[1]](x)"},
  {"await a[b[1]](x)", "__call[a[b[1]]](x)"},
  {"await f(x)(y)", "__call[f(x)](y)"},
  {"await f(x).g(y)", "__call[f(x).g or __nil\".g\"](y)"},
  {"await f'x''y'", "__call[f'x']'y'"},
  {"await   --[[c]] f --[[d]] (x)",
   "__call[   --[[c]] f or __nil\"f\"] --[[d]] (x)"},
  /* methods of a variable */
  {"await q:get(x)", "__call[q.get or __nil\":get\"](q,x)"},
  {"await q:get()", "__call[q.get or __nil\":get\"](q)"},
  {"await q:get( --[[no]] )", "__call[q.get or __nil\":get\"](q --[[no]] )"},
  {"await q:get(--c\n)", "__call[q.get or __nil\":get\"](q--c\n)"},
  {"await q:get(...)", "__call[q.get or __nil\":get\"](q,...)"},
  {"await q:get(await x)", "__call[q.get or __nil\":get\"](q,__await(x))"},
  {"await q:get's'", "__call[q.get or __nil\":get\"](q,'s')"},
  {"await q:get[[s]]", "__call[q.get or __nil\":get\"](q,[[s]])"},
  {"await q:get[==[\ns]==]", "__call[q.get or __nil\":get\"](q,[==[\ns]==])"},
  {"await q:get{}", "__call[q.get or __nil\":get\"](q,{})"},
  {"await q:get{await x}", "__call[q.get or __nil\":get\"](q,{__await(x)})"},
  {"await q\n: --c\nget -- d\n  (\nx)",
   "__call[q\n. --c\nget or __nil\":get\"] -- d\n  (q,\nx)"},
  {"await q:get --c\n's'", "__call[q.get or __nil\":get\"] --c\n(q,'s')"},
  {"await await:async()", "__call[await.async or __nil\":async\"](await)"},
  /* methods of anything else */
  {"await a.b:c(x)", "__method(a.b or __nil\"b.\",\"c\",x)"},
  {"await a.b:c()", "__method(a.b or __nil\"b.\",\"c\")"},
  {"await a[1]:c()", "__method(a[1],\"c\")"},
  {"await a.b:c's'", "__method(a.b or __nil\"b.\",\"c\",'s')"},
  {"await a.b:c{}", "__method(a.b or __nil\"b.\",\"c\",{})"},
  {"await a:b():c(x)", "__method(a:b(),\"c\",x)"},
  {"await a:b's':c(x)", "__method(a:b's',\"c\",x)"},
  {"await a.b -- x\n:\nc -- y\n(\nz)",
   "__method(a.b -- x\n or __nil\"b.\",\n\"c\" -- y\n,\nz)"},
  {"await a:b(await c:d()):e{f}",
   "__method(a:b(__call[c.d or __nil\":d\"](c)),\"e\",{f})"},
  /* no call */
  {"await t", "__await(t)"},
  {"await t.x[1]", "__await(t.x[1])"},
  {"await f().x", "__await(f().x)"},
  {"await await t", "__await(__await(t))"},
  {"await await await f()", "__await(__await(__call[f or __nil\"f\"]()))"},
  {"await async", "__await(async)"},
  {"await async(f)", "__call[async or __nil\"async\"](f)"},
  {"await await", "__await(await)"},
  {"await await(f)", "__call[await or __nil\"await\"](f)"},
  {"await async function() end", "__await(__async(nil,function() end))"},
  /* where expressions stand */
  {"x=await f()+1", "x=__call[f or __nil\"f\"]()+1"},
  {"x=-await t^2", "x=-__await(t)^2"},
  {"x=not await t", "x=not __await(t)"},
  {"x=a-await t-- c", "x=a-__await(t)-- c"},
  {"x=a..await t..b", "x=a..__await(t)..b"},
  {"return await f()", "return __return(__call[f or __nil\"f\"]())"},
  {"return await t;", "return __return(__await(t));"},
  {"return(await t)", "return(__await(t))"},
  {"f(await t,await u)", "f(__await(t),__await(u))"},
  {"f(a,await t)", "f(a,__await(t))"},
  {"x={await t,await u;await=1,[await v]=2}",
   "x={__await(t),__await(u);await=1,[__await(v)]=2}"},
  {"x[await f's']=1", "x[__call[f or __nil\"f\"]'s']=1"},
  {"a[await t], b = await u, await v",
   "a[__await(t)], b = __await(u), __await(v)"},
  {"if await t then elseif await u then else await v end",
   "if __await(t) then elseif __await(u) then else __await(v) end"},
  {"while await t do await u break end",
   "while __await(t) do __await(u) break end"},
  {"repeat await t until await u", "repeat __await(t) until __await(u)"},
  {"for i=await a,await b,await c do end",
   "for i=__await(a),__await(b),__await(c) do end"},
  {"for await,async in await f() do end",
   "for await,async in __call[f or __nil\"f\"]() do end"},
  {"local x <close> = await f()",
   "local x <close> = __call[f or __nil\"f\"]()"},
  {"local x <const>, y = 1, await t", "local x <const>, y = 1, __await(t)"},
  {"await a await b;await c", "__await(a) __await(b);__await(c)"},
  {"x=1 await t", "x=1 __await(t)"},
  {"x='s'await t", "x='s'__await(t)"},
  {"goto await await f() ::await::",
   "goto await __call[f or __nil\"f\"]() ::await::"},
  {"local await await x", "local await __await(x)"},
  {"local async, await await t", "local async, await __await(t)"},
  {"await x\n(g)()", "__call[x\n(g)]()"},
  {"await x;(g)()", "__await(x);(g)()"},
  {"\n\nawait t -- end", "\n\n__await(t) -- end"},
  {"x = await t\r\ny = await u", "x = __await(t)\r\ny = __await(u)"},
  /* async functions */
  {"async function f() end", "f=__async(\"f\",function() end)"},
  {"async function f(a, ...) return a end",
   "f=__async(\"f\",function(a, ...) return a end)"},
  {"async function M.a.f(x) end", "M.a.f=__async(\"M.a.f\",function(x) end)"},
  {"async function M:f() end", "M.f=__async(\"M:f\",function(self) end)"},
  {"async function M.s:f(a) end",
   "M.s.f=__async(\"M.s:f\",function(self,a) end)"},
  {"async function M:f(...) end",
   "M.f=__async(\"M:f\",function(self,...) end)"},
  {"async function M . s --c\n: f --d\n ( --e\n) end",
   "M.s.f=__async(\"M.s:f\",function(self   --c\n  --d\n  --e\n) end)"},
  {"async --[[a]] function --[[b]] f() end",
   " --[[a]] f=__async(\"f\",function( --[[b]] ) end)"},
  {"async function\nf() end", "f=__async(\"f\",function(\n) end)"},
  {"local async function f() end", "local f f=__async(\"f\",function() end)"},
  {"local --a\nasync function f() end",
   "local --a\nf f=__async(\"f\",function() end)"},
  {"async function f\n(a) end", "f=__async(\"f\",function(\na) end)"},
  {"local async function f\n(a) end",
   "local f f=__async(\"f\",function\n(a) end)"},
  {"async function async() end", "async=__async(\"async\",function() end)"},
  {"async function await.async() end",
   "await.async=__async(\"await.async\",function() end)"},
  {"x = async function() end", "x = __async(\"x\",function() end)"},
  {"a.b = async function() end", "a.b = __async(\"a.b\",function() end)"},
  {"a[1] = async function() end", "a[1] = __async(nil,function() end)"},
  {"a --c\n.b = async function() end",
   "a --c\n.b = __async(nil,function() end)"},
  {"a,b = async function() end", "a,b = __async(nil,function() end)"},
  {"local f <const> = async function() end",
   "local f <const> = __async(\"f\",function() end)"},
  {"local f, g = async function() end",
   "local f, g = __async(nil,function() end)"},
  {"x = {f = async function() end, async function() end}",
   "x = {f = __async(\"f\",function() end), __async(nil,function() end)}"},
  {"return async function() end", "return __async(nil,function() end)"},
  {"f(async function(a) await a end, 1)",
   "f(__async(nil,function(a) __await(a) end), 1)"},
  {"x = a or async function() end .. b",
   "x = a or __async(nil,function() end) .. b"},
  {"x = async  --[[c]] function() end",
   "x = __async(\"x\",  --[[c]] function() end)"},
  {"async function f() async function g() await g() end await f() end",
   "f=__async(\"f\",function() g=__async(\"g\",function() "
   "__call[g or __nil\"g\"]() end) __call[f or __nil\"f\"]() end)"},
  /* an async function is not called by what follows it */
  {"async function f() end (g)()", "f=__async(\"f\",function() end); (g)()"},
  {"x = async function() end\n(g)()",
   "x = __async(\"x\",function() end);\n(g)()"},
  {"local async function f() end(g)()",
   "local f f=__async(\"f\",function() end);(g)()"},
  {"x = 1, async function() end (g)()",
   "x = 1, __async(nil,function() end); (g)()"},
  {"repeat until async function() end (g)()",
   "repeat until __async(nil,function() end); (g)()"},
  {"x = await async function() end (g)()",
   "x = __await(__async(nil,function() end)); (g)()"},
  {"await async function() end (g)()",
   "__await(__async(nil,function() end)); (g)()"},
  {"async function f() end ::a:: goto a",
   "f=__async(\"f\",function() end) ::a:: goto a"},
  {"(async function() end)()", "(__async(nil,function() end))()"},
  {"x = 's'async function f() end", "x = 's'f=__async(\"f\",function() end)"},
  /* another spelling */
  {"local __call = 1 await f()",
   "local __call = 1 __1_call[f or __1_nil\"f\"]()"},
  {"__nil, __2_call, __1_async = 1 await t",
   "__nil, __2_call, __1_async = 1 __3_await(t)"},
  {"__calls, _call, call, __1call, ___call = 1 await t",
   "__calls, _call, call, __1call, ___call = 1 __await(t)"},
};

/* What is not translated: the words are names here, or not there. */
static const char *const same[] = {
  "", "return", "x = 1", "await(x)", "await 's'", "await {}", "await [[s]]",
  "await\nf()", "await --c\nf()", "await --[[\n]] f()", "await = 1",
  "await, async = async, await", "async(f)", "async\nlocal function f() end",
  "local async = 1", "local await f()", "local await, async = 1, 2",
  "local async\nfunction f() end", "local async <const> = 1",
  "x = async\nfunction f() end", "x.await = y", "x.await() y()",
  "x.async() function f() end", "x:await() f()", "return x.await",
  "function await() f() end", "function async() end",
  "function a.await() f() end", "function a:await() f() end",
  "function a:async() end", "local function await() f() end",
  "f = function(await, async) f() end", "goto await f() ::await::",
  "goto async ::async:: function f() end", "::await:: f()",
  "x = {await = 1, async = 2}", "x = {await, async}", "x = {await}",
  "for await = 1, 2 do end", "for async in await do end", "await.x = 1",
  "await:x()", "await[1] = 2", "x = await - y", "x = await .. y",
  "x = #await", "if await then f() end", "while await do f() end",
  "x = 'await f()'", "x = \"async function\"", "x = [[await f()]]",
  "x = [==[ ]] await f() ]=] ]==]", "-- await f()\nx = 1",
  "--[[ async function f() end ]] x = 1", "--[==[ ]] await f() ]==]",
  "x = '\\'await f()'", "x = '\\z\n\n  await f()'", "x = 'a\\\nawait f()'",
  "x = 'a\\\r\nawait f()' y = '\\\n\rawait'", "x = '\\x41\\u{48}\\065await'",
  "async = f", "awaiting f = 1", "x = await", "return await",
  "return await;", "return async", "x = (await) (f)()",
  "x = 0xAp1 + 0x.8 + 0x8. + 3e-2 + .5 + 3. + 0xep-1 -- await",
  "x = 1//2 ~= 3 ~ ~4 << 5 >> 6 <= 7 >= 8 < 9 > 10 == 11 -- await",
  "x = a.await..b", "x = await.y", "local t <close> = await",
  "local x <await> = 1", "x = await and y", "x = await or y",
  "x = not await", "await(f)(x) y()", "await 's' .x()",
};

static void test_good(lua_State *L) {
  for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
    np_Translation t;
    const char *source = good[i].source, *message;
    np_translate(source, strlen(source), &t);
    if (!t.text || strcmp(t.text, good[i].text) != 0)
      complain("expected", good[i].text, "got %s", t.text ? t.text : "NULL");
    else if (!t.balanced || t.length != strlen(t.text))
      complain("not balanced", source, "%s", t.text);
    else if ((message = refusal(L, t.text, t.length)))
      complain("does not compile", source, "%s", message);
    else if (!wrapped_compiles(L, &t))
      complain("does not compile wrapped", source, "%s", t.text);
    np_translation_free(&t);
    np_translation_free(&t);
  }
}

static void test_same(void) {
  for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
    np_Translation t;
    np_translate(same[i], strlen(same[i]), &t);
    if (t.text) complain("to be left alone", same[i], "%s", t.text);
    np_translation_free(&t);
  }
}

/* == Mistakes: Lua's message for the translated text =================== */

static const struct {
  const char *source, *message;
} bad[] = {
  {"await f() = 1", "x:1: syntax error near '='"},
  {"await f, g = 1", "x:1: syntax error near ','"},
  {"x = await y = 2", "x:1: unexpected symbol near '='"},
  {"await x.", "x:1: <name> expected near <eof>"},
  {"await x:", "x:1: <name> expected near <eof>"},
  {"await x:y", "x:1: function arguments expected near <eof>"},
  {"await x[", "x:1: unexpected symbol near <eof>"},
  {"await x[1", "x:1: ']' expected near <eof>"},
  {"\nawait f(\n1", "x:3: ')' expected (to close '(' at line 2) near <eof>"},
  {"await f(await g(1 2))", "x:1: ')' expected near '2'"},
  {"await nil", "x:1: syntax error near 'nil'"},
  {"x await y", "x:1: syntax error near 'await'"},
  {"await\nf()", "x:2: syntax error near 'f'"},
  {"f() await\nf()", "x:2: syntax error near 'f'"},
  {"return await f() await g()", "x:1: <eof> expected near 'await'"},
  {"async function", "x:1: <name> expected near <eof>"},
  {"async function ()", "x:1: <name> expected near '('"},
  {"async function 5()", "x:1: <name> expected near '5'"},
  {"async function f", "x:1: '(' expected near <eof>"},
  {"async function f.", "x:1: <name> expected near <eof>"},
  {"async function f:g.h() end", "x:1: '(' expected near '.'"},
  {"async function f[1]() end", "x:1: '(' expected near '['"},
  {"async function f(\n", "x:2: <name> or '...' expected near <eof>"},
  {"async function f()\n\n",
   "x:3: 'end' expected (to close 'function' at line 1) near <eof>"},
  {"local async function M.f() end", "x:1: '(' expected near '.'"},
  {"local async function ()", "x:1: <name> expected near '('"},
  {"x = async function f() end", "x:1: '(' expected near 'f'"},
  {"return async function f() end", "x:1: '(' expected near 'f'"},
  {"async function f() end.x = 1", "x:1: unexpected symbol near '.'"},
  {"async function f() end 's'", "x:1: unexpected symbol near ''s''"},
  {"x = async function() end()", "x:1: unexpected symbol near ')'"},
  {"x = async function() end.y", "x:1: unexpected symbol near '.'"},
  {"f(async function() end(g))", "x:1: ')' expected near '('"},
  {"f(async function() end 's')", "x:1: ')' expected near ''s''"},
  {"x = {async function() end [1] = 2}", "x:1: '}' expected near '['"},
  {"f(await async function() end.x)", "x:1: ')' expected near '.'"},
  {"await async function() end.x()", "x:1: unexpected symbol near '.'"},
  {"async function f() end + 1", "x:1: unexpected symbol near '+'"},
  {"async function f() end, 1", "x:1: unexpected symbol near ','"},
  {"local async function f() end or 1", "x:1: unexpected symbol near 'or'"},
  {"async function f() end = 1", "x:1: unexpected symbol near '='"},
  {"return async function() end (g)()", "x:1: <eof> expected near '('"},
  {"if async function() end {} then end", "x:1: 'then' expected near '{'"},
  {"async function f() await x end end", "x:1: <eof> expected near 'end'"},
  {"await x end) ", "x:1: <eof> expected near 'end'"},
  {"await f() x = 'abc", "x:1: unfinished string near <eof>"},
  {"await f('abc\n')", "x:1: unfinished string near ''abc'"},
  {"await f([==[\n", "x:2: unfinished long string (starting at line 1) near "
                       "<eof>"},
  {"await f() --[[", "x:1: unfinished long comment (starting at line 1) near "
                     "<eof>"},
  {"await t x = 3..4", "x:1: malformed number near '3..4'"},
  {"await t @ await u", "x:1: unexpected symbol near '@'"},
  {"await t goto nowhere", "x:1: no visible label 'nowhere' for <goto> at "
                           "line 1"},
  {"await f() (async function() end 's')", "x:1: ')' expected near ''s''"},
  {"await t break", "x:1: break outside loop at line 1"},
};

static void test_bad(lua_State *L) {
  for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
    np_Translation t;
    size_t length = strlen(bad[i].source);
    np_translate(bad[i].source, length, &t);
    const char *text = result(&t, bad[i].source, length, &length);
    const char *message = refusal(L, text, length);
    if (!message || strcmp(message, bad[i].message) != 0)
      complain(bad[i].source, bad[i].message, "got %s for %s",
               message ? message : "nothing", text);
    np_translation_free(&t);
  }
}

/* == Hard cases ======================================================== */

static const char everything[] =
    "#!shebang\n"
    "local async function f(a, b, ...) -- await x\n"
    "  local x <const>, y <close> = await f(await q:get{1}), nil\n"
    "  async function M.sub:f(a) return await a.b:c 's', 0x1p-4 end\n"
    "  for i = 1, 2 do await t[i] goto done end ::done::\n"
    "  x = {f = async function() end, [await k] = [==[\nawait]==], await v;}\n"
    "  await async function() end\n (g)() --[==[\n]]]==] await 'x\\z\n\\65'\n"
    "  repeat local __call = await await x until 'a\\\nb' // 3 ~= 1e+5\n"
    "end\n";

/* Each prefix ends where the next byte must not be touched. */
static void test_prefixes(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(pages + page, page, PROT_NONE);
  for (size_t n = 0; n < sizeof(everything); n++) {
    /* From the start with its shebang, and without, which parses. */
    for (size_t skip = 0; skip <= 10 && skip <= n; skip += 10) {
      np_Translation t;
      memcpy(pages + page - n, everything, n);
      np_translate(pages + page - n + skip, n - skip, &t);
      np_translation_free(&t);
    }
  }
  for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
    for (size_t n = 0; n <= strlen(good[i].source); n++) {
      np_Translation t;
      memcpy(pages + page - n, good[i].source, n);
      np_translate(pages + page - n, n, &t);
      np_translation_free(&t);
    }
  }
  munmap(pages, 2 * page);
}

static void test_memory(void) {
  int status = -1;
  for (long n = 0; status != 0; n++) {
    np_Translation t;
    size_t length;
    allowed = n;
    status = np_translate(everything + 10, sizeof(everything) - 11, &t);
    if (status != 0 && (t.text || status != -1))
      complain("out of memory", "", "status %d", status);
    char *text = status == 0 ? np_translate_wrap(&t, &length) : NULL;
    allowed = -1;
    if (text) complain("wrapped without memory", "", "%s", text);
    np_translation_free(&t);
  }
}

static char *repeated(const char *head, const char *part, size_t count,
                      const char *tail) {
  size_t h = strlen(head), p = strlen(part);
  char *text = malloc(h + p * count + strlen(tail) + 1);
  memcpy(text, head, h);
  for (size_t i = 0; i < count; i++) memcpy(text + h + i * p, part, p);
  strcpy(text + h + count * p, tail);
  return text;
}

/* Long and deep sources are translated, or refused by Lua, never fatal. */
static void test_long(lua_State *L) {
  static const struct {
    const char *head, *part, *tail;
    int compiles;  /* a thousand times as well */
  } cases[] = {
    {"x = await f()", ".. y", "", 0},
    {"x = await f()", "+ y", "", 1},
    {"x = await f()", "- - y", "", 1},
    {"x = - await f() + ", "- ", "1", 0},
    {"x = await a", ".b.c", "()", 1},
    {"x = await a", ":b()", ".c[1]", 1},
    {"await a", "(1)", "", 1},
    {"if await x then ", "elseif await y then ", "end", 1},
    {"await t x = ", "(", "", 0},
    {"await t x = ", "{", "", 0},
    {"await t ", "x[", "", 0},
    {"", "await f(", "", 0},
    {"", "await ", "f()", 0},
    {"await t ", "do ", "", 0},
    {"", "async function f() ", "", 0},
    {"x = ", "async function() return ", "", 0},
    {"", "await q:m{ await ", "", 0},
    {"", "await f() ", "", 1},
    {"await t", ";", "", 1},
    {"x = {", "await f(),", "}", 1},
    {"f(await t", ",await t", ")", 0},
    {"await f'", "\\\n", "'", 1},
    {"--[[", "]=]==", "]] await f()", 1},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    for (size_t count = 1; count < 20000; count = count * 5 + 1) {
      char *source =
          repeated(cases[i].head, cases[i].part, count, cases[i].tail);
      np_Translation t;
      size_t length = strlen(source);
      int status = np_translate(source, length, &t);
      const char *text = result(&t, source, length, &length);
      const char *message = refusal(L, text, length);
      if (status != 0) complain("status", cases[i].part, "%d", status);
      if (message && cases[i].compiles && count < 1000)
        complain("long", cases[i].part, "%zu times: %s", count, message);
      if (!t.balanced && !message)
        complain("not balanced", cases[i].part, "%zu times", count);
      np_translation_free(&t);
      free(source);
    }
  }
}

/* A spelling is found even if the source tries to use them all up. */
static void test_spelling(lua_State *L) {
  enum { COUNT = 20000 };
  char *source = malloc(COUNT * 24 + 64);
  size_t n = (size_t)sprintf(source, "await t.__call ");
  for (int i = 1; i < COUNT; i++)
    n += (size_t)sprintf(source + n, "__%d_nil = 1 ", i);
  np_Translation t;
  np_translate(source, n, &t);
  if (strcmp(t.prefix, "__20000_") != 0)
    complain("spelling", "", "%s", t.prefix);
  if (refusal(L, t.text, t.length)) complain("spelling", "", "no Lua");
  np_translation_free(&t);
  free(source);
}

int main(void) {
  lua_State *L = luaL_newstate();
  test_good(L);
  test_same();
  test_bad(L);
  test_prefixes();
  test_memory();
  test_long(L);
  test_spelling(L);
  lua_close(L);
  if (failures) printf("%d failures\n", failures);
  return failures != 0;
}
