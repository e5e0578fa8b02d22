/*
 * repl.c - require "neap.repl.core": a line of a terminal, edited while
 * tasks run.
 *
 * This room makes libedit, which reads a terminal and blocks, into the Lua
 * class Editor. libedit runs on a thread of its own that is a coroutine in
 * all but name: it runs only while the loop's thread waits for it, and it
 * hands over whenever it would block for a key. So nothing here is shared by
 * two that run, libedit's searches and key sequences never block the loop,
 * and its locale is nobody else's. What is behind the prompt (the session,
 * completion, help, printing) is Lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <langinfo.h>
#include <locale.h>
#include <neap.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <uv.h>
#include <wchar.h>

#include "editline.h"
#include "sink.h"

enum { HISTORY_SIZE = 1000, PROMPT_SIZE = 256 };

/* What the loop asks of the editing thread, and what that answers. */
typedef enum Command {
  READ, INPUT, PRINT, REDRAW, RESUME, INSERT, CLEAR, STOP
} Command;
typedef enum Event { IDLE, WAITING, LINE, END, COMPLETE, FAILED } Event;

typedef struct Editor {
  neap_Handle handle; /* first */
  uv_poll_t poll;
  uv_signal_t resized, continued;
  neap_Wait wait;  /* the task in editor:_next() */
  np_Sink sink;    /* what others print while a line is edited */
  uv_thread_t thread;
  uv_sem_t to_edit, to_loop;
  Command command;
  Event event;
  int started;     /* the thread runs */
  int in;          /* the terminal, opened anew: not blocking */
  int cleared;     /* the line is given up: no more keys for it */
  int dumb;        /* the terminal cannot move its cursor up */
  FILE *file, *out; /* libedit's ends of the terminal */
  EditLine *el;
  History *history;
  locale_t locale;
  char prompt[PROMPT_SIZE];
  char *line;      /* a finished one, or one to be completed */
  size_t cursor;
  char *insert;    /* what completion has found; the caller's */
} Editor;

/* == The editing thread =============================================== */

static int columns(Editor *e) {
  struct winsize size;
  int fd = fileno(e->out);
  if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

typedef struct Place {
  int row, column, width;
} Place;

static void place_advance(Place *p, int cells) {
  p->column += cells;
  while (p->column >= p->width) {
    p->column -= p->width;
    p->row++;
  }
}

/* Moves `p` behind `size` bytes of text as libedit shows them. */
static void place_text(Place *p, const char *text, size_t size) {
  mbstate_t state;
  memset(&state, 0, sizeof state);
  while (size > 0) {
    wchar_t c;
    size_t n = mbrtowc(&c, text, size, &state);
    if (n == 0 || n > size) return; /* it was valid when libedit made it */
    text += n;
    size -= n;
    if (c == L'\n') {
      p->row++;
      p->column = 0;
    } else if (c == L'\t') {
      place_advance(p, 8 - p->column % 8);
    } else {
      int cells = wcwidth(c);
      place_advance(p, cells >= 0 ? cells : 2);
    }
  }
}

/* The prompt's text between two \1 is not shown. */
static void place_prompt(Place *p, const char *prompt) {
  for (int shown = 1; *prompt != '\0'; shown = !shown) {
    size_t n = strcspn(prompt, "\1");
    if (shown) place_text(p, prompt, n);
    prompt += n;
    if (*prompt == '\1') prompt++;
  }
}

/* How many rows the cursor, or the end of the line, is below the prompt. */
static int row_of(Editor *e, int end) {
  const LineInfo *line = np_el_line()(e->el);
  Place p = {0, 0, columns(e)};
  place_prompt(&p, e->prompt);
  place_text(&p, line->buffer,
             (size_t)((end ? line->lastchar : line->cursor) - line->buffer));
  return p.row;
}

static void hide_line(Editor *e) {
  int row = row_of(e, 0);
  if (e->dumb) {
    fputs("\r\n", e->out);
    return;
  }
  fputc('\r', e->out);
  if (row > 0) fprintf(e->out, "\033[%dA", row);
  fputs("\033[J", e->out);
}

/* Leaves the line as it stands and goes below it; or takes it away, if the
 * session ends. */
static void end_line(Editor *e, Command command) {
  if (command == STOP) {
    hide_line(e);
    (void)fflush(e->out);
    return;
  }
  int down = row_of(e, 1) - row_of(e, 0);
  if (down > 0 && !e->dumb) fprintf(e->out, "\033[%dB", down);
  fputs("^C\r\n", e->out);
  (void)fflush(e->out);
}

static void write_text(Editor *e, const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (text[i] == '\n') fputc('\r', e->out);
    fputc(text[i], e->out);
  }
}

/* Shows what was printed above the line. */
static void print_above(Editor *e) {
  size_t size;
  char *text = np_sink_take(&e->sink, &size);
  if (size > 0) {
    hide_line(e);
    write_text(e, text, size);
    if (text[size - 1] != '\n') fputs("\r\n", e->out);
    np_el_set()(e->el, EL_REFRESH);
  }
  free(text);
}

/* After a stop the terminal is as the shell likes it. libedit believes that
 * it is still raw, unless told. */
static void take_terminal(Editor *e) {
  if (tcgetpgrp(e->in) != getpgrp()) return; /* continued by `bg` */
  np_el_set()(e->el, EL_PREP_TERM, 0);
  np_el_set()(e->el, EL_PREP_TERM, 1);
}

/* Lets the loop go on until it has a command that is not about the screen. */
static Command hand_back(Editor *e, Event event) {
  for (;;) {
    e->event = event;
    uv_sem_post(&e->to_loop);
    uv_sem_wait(&e->to_edit);
    if (e->command == PRINT) {
      print_above(e);
    } else if (e->command == REDRAW || e->command == RESUME) {
      if (e->command == RESUME) take_terminal(e);
      else hide_line(e);
      np_el_resize()(e->el);
      np_el_set()(e->el, EL_REFRESH);
    } else {
      return e->command;
    }
  }
}

/* Reads a byte: 1; 0 at the end; -1 if there is none yet. */
static int read_byte(Editor *e, unsigned char *byte) {
  ssize_t n;
  do {
    n = read(e->in, byte, 1);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return -1;
  return n == 1;
}

/* The same, but waits; 0 also when the line is given up. */
static int wait_byte(Editor *e, unsigned char *byte) {
  for (;;) {
    Command command;
    int n = e->cleared ? 0 : read_byte(e, byte);
    if (n >= 0) return n;
    command = hand_back(e, WAITING);
    if (command == CLEAR || command == STOP) {
      e->cleared = 1;
      end_line(e, command);
    }
  }
}

/* libedit's source of characters. */
static int read_character(EditLine *el, wchar_t *c) {
  Editor *e;
  mbstate_t state;
  memset(&state, 0, sizeof state);
  np_el_get()(el, EL_CLIENTDATA, &e);
  for (;;) {
    unsigned char byte;
    if (!wait_byte(e, &byte)) return 0;
    size_t n = mbrtowc(c, (char *)&byte, 1, &state);
    if (n == (size_t)-2) continue;
    if (n != (size_t)-1) return 1;
    memset(&state, 0, sizeof state); /* what is no text is dropped */
  }
}

static char *prompt_of(EditLine *el) {
  Editor *e;
  np_el_get()(el, EL_CLIENTDATA, &e);
  return e->prompt;
}

static char *copy_of(const char *text, size_t size) {
  char *copy = malloc(size + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, text, size);
  copy[size] = '\0';
  return copy;
}

/* Nothing to complete, or a tab in text that is pasted. */
static int is_plain_tab(Editor *e, const LineInfo *line) {
  struct pollfd more = {.fd = e->in, .events = POLLIN};
  if (line->cursor == line->buffer) return 1;
  if (strchr(" \t\n", line->cursor[-1]) != NULL) return 1;
  return poll(&more, 1, 0) == 1;
}

static unsigned char on_tab(EditLine *el, int key) {
  Editor *e;
  const LineInfo *line = np_el_line()(el);
  (void)key;
  np_el_get()(el, EL_CLIENTDATA, &e);
  if (is_plain_tab(e, line)) return np_el_insertstr()(el, "\t") < 0 ? CC_ERROR
                                                               : CC_REFRESH;
  e->cursor = (size_t)(line->cursor - line->buffer);
  free(e->line);
  e->line = copy_of(line->buffer, (size_t)(line->lastchar - line->buffer));
  if (e->line == NULL) return CC_ERROR;
  e->insert = NULL;
  Command command = hand_back(e, COMPLETE);
  if (command == CLEAR || command == STOP) {
    e->cleared = 1;
    end_line(e, command);
  }
  if (command != INSERT || e->insert == NULL) return CC_NORM;
  return np_el_insertstr()(el, e->insert) < 0 ? CC_ERROR : CC_REFRESH;
}

static void bind_keys(EditLine *el) {
  static const char *const keys[][2] = {
      {"^R", "em-inc-search-prev"},   {"^S", "em-inc-search-next"},
      {"^W", "ed-delete-prev-word"},  {"\\e[3~", "ed-delete-next-char"},
      {"\\e[H", "ed-move-to-beg"},    {"\\e[F", "ed-move-to-end"},
      {"\\eOH", "ed-move-to-beg"},    {"\\eOF", "ed-move-to-end"},
      {"\\e[1~", "ed-move-to-beg"},   {"\\e[4~", "ed-move-to-end"},
      {"\\e[1;5D", "ed-prev-word"},   {"\\e[1;5C", "em-next-word"},
      {"^I", "neap-complete"},
  };
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
    np_el_set()(el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

/* The terminal's text is UTF-8 unless the environment says otherwise. */
static void use_locale(Editor *e) {
  e->locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
  if (e->locale == (locale_t)0 ||
      strcmp(nl_langinfo_l(CODESET, e->locale), "ANSI_X3.4-1968") == 0) {
    if (e->locale != (locale_t)0) freelocale(e->locale);
    e->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  }
  if (e->locale != (locale_t)0) (void)uselocale(e->locale);
}

static int open_libedit(Editor *e) {
  HistEvent ev;
  if (!np_editline_load()) return 0;
  e->history = np_history_init()();
  e->el = np_el_init()("neap", e->file, e->out, e->out);
  if (e->history == NULL || e->el == NULL) return 0;
  (void)np_history()(e->history, &ev, H_SETSIZE, HISTORY_SIZE);
  np_el_set()(e->el, EL_CLIENTDATA, e);
  np_el_set()(e->el, EL_SIGNAL, 0);
  np_el_set()(e->el, EL_PROMPT_ESC, prompt_of, '\1');
  np_el_set()(e->el, EL_HIST, np_history(), e->history);
  np_el_set()(e->el, EL_EDITOR, "emacs");
  /* Of narrow names libedit would make copies and never free them. */
  np_el_wset()(e->el, EL_ADDFN, L"neap-complete", L"Complete a name", on_tab);
  bind_keys(e->el);
  (void)np_el_source()(e->el, NULL); /* the user's .editrc, if there is one */
  np_el_set()(e->el, EL_GETCFN, read_character);
  return 1;
}

static Event read_line(Editor *e) {
  int size = 0;
  e->cleared = 0;
  np_el_set()(e->el, EL_PREP_TERM, 1); /* or the prompt is there before that */
  const char *line = np_el_gets()(e->el, &size);
  free(e->line);
  e->line = NULL;
  if (e->cleared) return IDLE;
  if (line == NULL || size <= 0) return END;
  if (line[size - 1] == '\n' || line[size - 1] == '\r') size--;
  e->line = copy_of(line, (size_t)size);
  return e->line == NULL ? END : LINE;
}

static void edit(void *argument) {
  Editor *e = argument;
  use_locale(e);
  Event event = open_libedit(e) ? IDLE : FAILED;
  while (hand_back(e, event) != STOP) event = read_line(e);
  if (e->el != NULL) np_el_end()(e->el);
  if (e->history != NULL) np_history_end()(e->history);
  (void)uselocale(LC_GLOBAL_LOCALE);
  if (e->locale != (locale_t)0) freelocale(e->locale);
  uv_sem_post(&e->to_loop);
}

/* == The loop's side ================================================== */

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
  luaL_argcheck(L, size < PROMPT_SIZE, 2, "too long");
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
  lua_pushinteger(L, columns(e));
  return 1;
}

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

/* Signals are for the machine's thread. */
static int open_thread(Editor *e) {
  sigset_t all, before;
  if (uv_sem_init(&e->to_edit, 0) < 0) return UV_ENOMEM;
  if (uv_sem_init(&e->to_loop, 0) < 0) {
    uv_sem_destroy(&e->to_edit);
    return UV_ENOMEM;
  }
  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  int err = uv_thread_create(&e->thread, edit, e);
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

/* core.editor() -> Editor; nil if there is no terminal */
static int repl_editor(lua_State *L) {
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

/* core.spawn(f, name) -> Task that runs the function, and no coroutine */
static int repl_spawn(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  lua_pushvalue(L, 1);
  neap_spawn(L, 0, name);
  return 1;
}

/* core.set_main(task): an interrupt goes to it */
static int repl_set_main(lua_State *L) {
  neap_set_main(L, 1);
  return 0;
}

/* core.error_text(error [, task]) -> what a person should see */
static int repl_error_text(lua_State *L) {
  neap_error_text(L, 1, lua_isnoneornil(L, 2) ? 0 : 2);
  return 1;
}

/* core.modules() -> list of {name=, file=, source=} */
static int repl_modules(lua_State *L) {
  lua_newtable(L);
  for (const neap_Module *m = neap_modules; m->name != NULL; m++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, m->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, m->file);
    lua_setfield(L, -2, "file");
    if (m->source != NULL) lua_pushlstring(L, m->source, m->length);
    else lua_pushnil(L);
    lua_setfield(L, -2, "source");
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
  }
  return 1;
}

/* core.program() -> path of the running program, or nil */
static int repl_program(lua_State *L) {
  char path[4096];
  size_t size = sizeof path;
  if (uv_exepath(path, &size) < 0) return 0;
  lua_pushlstring(L, path, size);
  return 1;
}

/* core.list(directory) -> list of names in it; empty if it cannot be read */
static int repl_list(lua_State *L) {
  uv_fs_t request;
  uv_dirent_t entry;
  const char *path = luaL_checkstring(L, 1);
  lua_newtable(L);
  /* Without a callback the loop is not used. */
  if (uv_fs_scandir(NULL, &request, path[0] != '\0' ? path : "/", 0, NULL) >=
      0) {
    while (uv_fs_scandir_next(&request, &entry) == 0) {
      lua_pushstring(L, entry.name);
      lua_rawseti(L, -2, luaL_len(L, -2) + 1);
    }
  }
  uv_fs_req_cleanup(&request);
  return 1;
}

/* core.append(path, text): to a file that only its owner may read; gives
 * whether that went well */
static int repl_append(lua_State *L) {
  size_t size;
  const char *path = luaL_checkstring(L, 1);
  const char *text = luaL_checklstring(L, 2, &size);
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ssize_t written = fd >= 0 ? write(fd, text, size) : -1;
  if (fd >= 0 && close(fd) < 0) written = -1;
  lua_pushboolean(L, written == (ssize_t)size);
  return 1;
}

static const luaL_Reg methods[] = {
    {"_start", editor_start},       {"_insert", editor_insert},
    {"_clear", editor_clear},       {"_print", editor_print},
    {"_remember", editor_remember}, {"_columns", editor_columns},
    {NULL, NULL}};

static const neap_Async operations[] = {{"_next", editor_next}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"editor", repl_editor},         {"spawn", repl_spawn},
    {"set_main", repl_set_main},     {"error_text", repl_error_text},
    {"modules", repl_modules},       {"program", repl_program},
    {"append", repl_append},         {"list", repl_list},
    {NULL, NULL}};

int luaopen_neap_repl_core(lua_State *L) {
  neap_class_new(L, &EDITOR, methods, operations);
  luaL_newlib(L, functions);
  return 1;
}
