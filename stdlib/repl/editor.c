/*
 * editor.c - the Lua class Editor: hands keys to the editing thread, and its
 * lines to a task. It may touch the loop and neap.h; libedit only for the
 * history.
 */
#include "editor.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* == libuv's side: hands over and wakes, never Lua ==================== */

static void hand_over(Editor *e, Command command) {
  e->command = command;
  uv_sem_post(&e->to_edit);
  uv_sem_wait(&e->to_loop);
}

static int is_editing(const Editor *e) {
  return e->event == WAITING || e->event == COMPLETE;
}

/* Once libedit waits for no key, what was asked for is there. */
static void settle(Editor *e) {
  if (e->event == WAITING) return;
  (void)uv_poll_stop(&e->poll);
  if (!is_editing(e)) np_sink_stop(&e->sink);
  (void)neap_wake(&e->wait, 0);
}

static void on_input(uv_poll_t *poll, int status, int events) {
  Editor *e = poll->data;
  (void)events;
  if (e->event != WAITING) return;
  if (status < 0) e->cleared = 1; /* reads as the end */
  hand_over(e, INPUT);
  if (status < 0 && e->event == IDLE) e->event = END;
  settle(e);
}

static void on_printed(void *data) {
  Editor *e = data;
  if (is_editing(e)) {
    hand_over(e, PRINT);
  } else {
    size_t size;
    char *text = np_sink_take(&e->sink, &size);
    if (size > 0) (void)fwrite(text, 1, size, e->out);
    (void)fflush(e->out);
    free(text);
  }
}

static void on_signal(uv_signal_t *handle, int signal) {
  Editor *e = handle->data;
  if (is_editing(e)) hand_over(e, signal == SIGCONT ? RESUME : REDRAW);
}

static void on_closed(uv_handle_t *handle) {
  Editor *e = handle->data;
  neap_handle_unpin(&e->handle);
}

static void close_extra(Editor *e, uv_handle_t *handle) {
  if (handle->type == UV_UNKNOWN_HANDLE) return;
  neap_handle_pin(&e->handle);
  uv_close(handle, on_closed);
}

static void editor_close(neap_Handle *h) {
  Editor *e = (Editor *)h;
  if (e->started) {
    if (is_editing(e)) {
      e->event = IDLE;
      hand_over(e, STOP); /* ends the line ... */
    }
    hand_over(e, STOP); /* ... and the thread */
    (void)uv_thread_join(&e->thread);
    uv_sem_destroy(&e->to_edit);
    uv_sem_destroy(&e->to_loop);
    e->started = 0;
  }
  np_sink_stop(&e->sink);
  e->event = END;
  if (e->out != NULL) on_printed(e);
  close_extra(e, (uv_handle_t *)&e->resized);
  close_extra(e, (uv_handle_t *)&e->continued);
  if (np_sink_close(&e->sink, on_closed)) neap_handle_pin(h);
  if (e->out != NULL) (void)fclose(e->out);
  e->out = NULL;
  (void)neap_wake(&e->wait, NEAP_ECLOSED);
}

static void editor_release(neap_Handle *h) {
  Editor *e = (Editor *)h;
  if (e->file != NULL) (void)fclose(e->file); /* `in` with it */
  np_sink_free(&e->sink);
  free(e->line);
}

static const neap_Class EDITOR = {"neap.Editor", editor_close,
                                  editor_release};

/* == Lua's side ======================================================= */

static Editor *editor_check(lua_State *L) {
  return neap_handle_check(L, 1, &EDITOR);
}

/* The Editor itself if it is at rest between two lines. */
static Editor *editor_idle(lua_State *L, const char *name) {
  Editor *e = editor_check(L);
  if (is_editing(e)) luaL_error(L, "%s: a line is being edited", name);
  return e;
}

/* editor:_start(prompt): begins to edit a line */
static int editor_start(lua_State *L) {
  Editor *e = editor_idle(L, "start");
  size_t size;
  const char *prompt = luaL_checklstring(L, 2, &size);
  luaL_argcheck(L, size < NP_PROMPT_SIZE, 2, "too long");
  memcpy(e->prompt, prompt, size + 1);
  int err = np_sink_start(&e->sink);
  if (err < 0) return neap_fail(L, err, "start");
  hand_over(e, READ);
  if (e->event == WAITING) err = uv_poll_start(&e->poll, UV_READABLE, on_input);
  if (err < 0) return neap_fail(L, err, "start");
  settle(e);
  return 0;
}

static int next_done(lua_State *L, int status) {
  Editor *e = neap_handle_test(L, 1, &EDITOR);
  if (status < 0) return neap_fail(L, status, "next");
  switch (e->event) {
    case LINE:
      e->event = IDLE;
      lua_pushliteral(L, "line");
      lua_pushstring(L, e->line);
      return 2;
    case COMPLETE:
      lua_pushliteral(L, "complete");
      lua_pushstring(L, e->line);
      lua_pushinteger(L, (lua_Integer)e->cursor);
      return 3;
    default:
      e->event = IDLE;
      lua_pushliteral(L, "end");
      return 1;
  }
}

/*
 * editor:_next() -> "line", text; or "complete", line, cursor, to be answered
 * by editor:_insert; or "end"
 */
static int editor_next(lua_State *L) {
  Editor *e = editor_check(L);
  if (e->event != WAITING) return next_done(L, 0);
  return neap_await(L, &e->wait, next_done);
}

/* editor:_insert([text]): goes on editing, with the text put in */
static int editor_insert(lua_State *L) {
  Editor *e = editor_check(L);
  const char *text = luaL_optstring(L, 2, NULL);
  if (e->event != COMPLETE) return luaL_error(L, "insert: not asked for");
  e->insert = (char *)text;
  hand_over(e, INSERT);
  int err = 0;
  if (e->event == WAITING) err = uv_poll_start(&e->poll, UV_READABLE, on_input);
  if (err < 0) return neap_fail(L, err, "insert");
  settle(e);
  return 0;
}

/* editor:_clear(): gives the line up */
static int editor_clear(lua_State *L) {
  Editor *e = editor_check(L);
  if (!is_editing(e)) return 0;
  hand_over(e, CLEAR);
  settle(e);
  return 0;
}

/* editor:_print(text): above the line, if there is one */
static int editor_print(lua_State *L) {
  Editor *e = editor_check(L);
  size_t size;
  const char *text = luaL_checklstring(L, 2, &size);
  int err = np_sink_add(&e->sink, text, size);
  if (err < 0) return neap_fail(L, err, "print");
  on_printed(e);
  return 0;
}

/* editor:_remember(text): one more line of the history */
static int editor_remember(lua_State *L) {
  Editor *e = editor_idle(L, "remember");
  HistEvent ev;
  const char *text = luaL_checkstring(L, 2);
  (void)np_history()(e->history, &ev, H_ENTER, text); /* without memory: not */
  return 0;
}

/* editor:_columns() -> the width of the terminal */
static int editor_columns(lua_State *L) {
  Editor *e = editor_check(L);
  lua_pushinteger(L, np_editor_columns(e));
  return 1;
}

/* == Opening ========================================================== */

/* The terminal anew, so that not to block is our own affair. */
static int open_terminal(Editor *e) {
  char name[256];
  int err = ttyname_r(STDIN_FILENO, name, sizeof name), fd;
  if (err != 0) return uv_translate_sys_error(err);
  e->in = open(name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (e->in < 0) return uv_translate_sys_error(errno);
  e->file = fdopen(e->in, "r");
  if (e->file == NULL) {
    (void)close(e->in);
    return UV_ENOMEM;
  }
  fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return uv_translate_sys_error(errno);
  e->out = fdopen(fd, "w");
  if (e->out != NULL) return 0;
  (void)close(fd);
  return UV_ENOMEM;
}

static int open_signal(uv_loop_t *loop, uv_signal_t *handle, Editor *e,
                       int number) {
  int err = uv_signal_init(loop, handle);
  if (err < 0) return err;
  handle->data = e;
  return uv_signal_start(handle, on_signal, number);
}

static int open_loop(uv_loop_t *loop, Editor *e) {
  int err = uv_poll_init(loop, &e->poll, e->in);
  if (err < 0) return err;
  neap_handle_opened(&e->handle, &e->poll);
  err = open_signal(loop, &e->resized, e, SIGWINCH);
  if (err == 0) err = open_signal(loop, &e->continued, e, SIGCONT);
  if (err == 0) err = np_sink_open(&e->sink, loop, on_printed, e);
  return err;
}

/* Signals are for the machine's thread, but for the kernel's way to stop who
 * uses the terminal from the background. */
static int open_thread(Editor *e) {
  sigset_t all, before;
  if (uv_sem_init(&e->to_edit, 0) < 0) return UV_ENOMEM;
  if (uv_sem_init(&e->to_loop, 0) < 0) {
    uv_sem_destroy(&e->to_edit);
    return UV_ENOMEM;
  }
  sigfillset(&all);
  sigdelset(&all, SIGTTIN);
  sigdelset(&all, SIGTTOU);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  int err = uv_thread_create(&e->thread, np_edit, e);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (err < 0) {
    uv_sem_destroy(&e->to_edit);
    uv_sem_destroy(&e->to_loop);
    return err;
  }
  e->started = 1;
  uv_sem_wait(&e->to_loop);
  return e->event == FAILED ? UV_ENOTSUP : 0;
}

int np_editor_open(lua_State *L) {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return 0;
  Editor *e = neap_handle_new(L, sizeof *e, &EDITOR);
  const char *term = getenv("TERM");
  e->wait.what = "a line";
  e->dumb = term == NULL || *term == '\0' || strcmp(term, "dumb") == 0;
  int err = open_terminal(e);
  if (err == 0) err = open_loop(neap_loop(L), e);
  if (err == 0) err = open_thread(e);
  if (err == 0) return 1;
  neap_handle_close(&e->handle);
  return neap_fail(L, err, "editor");
}

static const luaL_Reg methods[] = {
    {"_start", editor_start},       {"_insert", editor_insert},
    {"_clear", editor_clear},       {"_print", editor_print},
    {"_remember", editor_remember}, {"_columns", editor_columns},
    {NULL, NULL}};

static const neap_Async operations[] = {{"_next", editor_next}, {NULL, NULL}};

void np_editor_class(lua_State *L) {
  neap_class_new(L, &EDITOR, methods, operations);
  lua_pop(L, 1);
}
