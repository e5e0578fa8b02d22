/*
 * translate.h - neap's two words, `async` and `await`, in plain Lua 5.4.
 *
 * The translator reads a whole chunk and rewrites what `async function` and
 * `await NAME` mean into calls through six names, which the loader gives to
 * the chunk as upvalues 2 to 7. With the usual spelling `__` they are:
 *
 *   await f(x)                 __call[f or __nil"f"](x)
 *   await a.b.f "s"            __call[a.b.f or __nil".f"]"s"
 *   await f(x)(y)              __call[f(x)](y)
 *   await q:get(x)             __call[q.get or __nil":get"](q,x)
 *   await a.b:c(x)             __method(a.b,"c",x)
 *   await t                    __await(t)
 *   return await t             return __return(__await(t))
 *   async function M.f(a) end  M.f=__async("M.f",function(a) end)
 *   async function M:f(a) end  M.f=__async("M:f",function(self,a) end)
 *   local async function f()   local f f=__async("f",function() ... end)
 *   x = async function() end   x = __async("x",function() end)
 *   async function() end       __async(nil,function() end)
 *
 * What `__nil` is given says what was called: a variable is "f", a field is
 * ".f", a method is ":f". An async function written as an expression takes
 * the name it is plainly assigned to, as a variable, field or table entry.
 *
 * Three rules hold for the whole file:
 *
 *   - `async` is a keyword only where an expression or a statement may start
 *     and `function` follows on the same line; `await` only there and with a
 *     name after it on the same line. All other uses are ordinary names;
 *   - every token stays on its line, and a chunk without keywords is not
 *     rewritten at all;
 *   - mistakes are Lua's to report. Where the source stops being Lua the rest
 *     is copied as it stands, and what comes before it is a correct beginning
 *     of a chunk, so Lua complains about the same token on the same line that
 *     the author sees, and never about a word put there by the translator.
 *
 * Nothing here knows Lua's library or raises errors; the only failure is want
 * of memory. A first line with `#` is the loader's to blank out.
 */
#ifndef NP_TRANSLATE_H
#define NP_TRANSLATE_H

#include <stddef.h>

/* == A translated chunk ================================================ */

typedef struct np_Translation {
  char *text;       /* the chunk in plain Lua, NUL-terminated; NULL if the
                       source needs no translation and is to be used as is */
  size_t length;    /* of `text`, without the NUL */
  int balanced;     /* `text` is a complete chunk that may be wrapped; if 0,
                       Lua will refuse it and has the message to show */
  char prefix[32];  /* what the six names begin with: "__", or another
                       spelling if the source uses one of them itself */
} np_Translation;

/*
 * Translates `length` bytes of `source`, which may hold any bytes. Gives 0, or
 * -1 if memory is out; `out` is filled either way and is yours to free.
 */
int np_translate(const char *source, size_t length, np_Translation *out);

/* Frees the text; a translation without text may be freed too, or twice. */
void np_translation_free(np_Translation *t);

/* == Around it ========================================================= */

/*
 * Tells whether either word stands in `source` as a whole word, be it in a
 * string or a comment. np_translate asks this first.
 */
int np_translate_mentions(const char *source, size_t length);

/*
 * Gives the text to compile, to be freed by you, or NULL if memory is out:
 * a chunk of one line more at its end whose call
 *
 *   chunk(_ENV, call, await, method, async, nil_, return_)
 *
 * returns the function that runs the source, a vararg function with upvalues
 * in that order. Only for a translation that has text and is balanced.
 */
char *np_translate_wrap(const np_Translation *t, size_t *length);

#endif
