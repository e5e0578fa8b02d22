/*
 * error.h - errors, positions, tracebacks and reports.
 */
#ifndef NP_ERROR_H
#define NP_ERROR_H

#include "vm.h"

/* == error.c ============================================================ */

/* 1 if the value at `index` is an Error of any class. */
int np_error_test(lua_State *L, int index);
int np_error_is(lua_State *L, int index, const char *cls);

/* Pushes the error class of that name, made if need be, or returns 0. */
int np_error_class(lua_State *L, const char *name);
void np_error_classes(lua_State *L); /* makes them all */

/* Raises a string with the script's position. */
int np_error(lua_State *L, const char *format, ...);

/*
 * Pushes the option `name`, nil or of that type, out of the table at `index`,
 * which may be nil. Raises with np_error, as asyncio's Lua half does, if there
 * are others in it; `what` is the function.
 */
void np_option(lua_State *L, int index, const char *what, const char *name,
               int type);

/* Pushes the value at `index`, in an Error unless it is one. */
void np_error_wrap(lua_State *L, int index);
/* Pushes where the error at `index` was raised, "app.lua:12", or nil. */
void np_error_where(lua_State *L, int index);

/* == site.c: where in the script something happened ===================== */

/* Where the script is: line and number of the source, from `level` up; if it
 * is nowhere, where the task was made. */
void np_site(lua_State *L, int level, int *line, uint32_t *source);
/* Pushes "app.lua:12" or "?". */
void np_site_push(lua_State *L, int line, uint32_t source);

/* The number of a source by its short name; of the string on top, which is
 * popped. A string that has one is kept for ever. */
uint32_t np_source(lua_State *L, const char *name);
uint32_t np_number(lua_State *L);
/* Pushes the string of that number, "?" for 0. */
void np_number_push(lua_State *L, uint32_t number);

/* == traceback.c ======================================================== */

/* 1 if it is the Lua half of a module of the build. */
int np_is_half(const char *source);

/*
 * Finds the first line of the script from `level` up, also in those that
 * resumed the running coroutine. 0 if there is none.
 */
int np_script_line(lua_State *L, int level, lua_Debug *ar);

/* Tells whether a line of the script is on the stack: none is when a task's
 * variables are closed after an error that nothing in it catches. */
int np_in_script(lua_State *L);

/* 1 if the frame is a line of the script, not of neap or of C. */
int np_is_script(const lua_Debug *ar);

/* Pushes the position "file:line: " of the script from `level` up. */
void np_where(lua_State *L, int level);
/* The same as luaL_where gives it, for `level` as a script counts them. */
void np_where_called(lua_State *L, int level);
/* Pushes the script's position from `level` up in L1, "app.lua:12", or nil. */
void np_position(lua_State *L, lua_State *L1, int level);

/*
 * The error on top, of L1 from `level` up: if it is a message with the line of
 * a Lua half, that becomes the line of the script that has called it. What
 * Lua itself says of a mistake in a half is about what the half was given.
 */
void np_blame_caller(lua_State *L, lua_State *L1, int level);
int np_blame(lua_State *L); /* the same as a message handler */

/* Pushes the stack of L1 from `level` on; if L1 is another thread than L, with
 * that of the coroutines that it resumes, `level` being that of L in it. */
void np_traceback(lua_State *L, lua_State *L1, int level);
/* The same as Lua has it, luaL_traceback, where nothing is asynchronous. */
void np_traceback_lua(lua_State *L, lua_State *L1, const char *message,
                      int level);
/* Pushes the best name for the function on top of the stack. */
void np_function_name(lua_State *L, const lua_Debug *ar);

/* == text.c: errors to be read ========================================== */

/* Keeps the traceback and the spawn lines (or nils) on top, which are popped,
 * for whoever asks for those of the error at `index`. */
void np_trace_keep(lua_State *L, int index);

/* neap_error_text, with the line of the script only if `quoted`. */
void np_error_text(lua_State *L, int index, int task, int quoted);

/* == quote.c: lines of the script ======================================= */

/* Says that a file was loaded, whose lines may then be quoted. */
void np_quote_file(lua_State *L, const char *path);

/* Pushes the text of the line `where` ("app.lua:12", may be NULL) without
 * blanks around it, or nil. `traceback` (may be NULL) is of the same error. */
void np_quote(lua_State *L, const char *where, const char *traceback);

/* == report.c, handler.c: what the host is told ========================= */

/* neap_report with the name of the task it is about, with where it happened,
 * "app.lua:12", and with the text of that line; all may be NULL. */
void np_report(neap_Vm *vm, int kind, const char *text,
               const char *traceback, const char *task, const char *where,
               const char *source);

/*
 * Tells the exception handler, or else the host, of the error at `index`
 * that nobody waits for; `task` is the index of its task, or 0.
 */
void np_report_error(lua_State *L, const char *message, int index, int task);

#endif
