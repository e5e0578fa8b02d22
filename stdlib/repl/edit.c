/*
 * edit.c - the editing thread: libedit, and what the screen shows.
 *
 * It may touch libedit and the terminal, but neither Lua nor the loop: see
 * editor.h. The text on the screen is libedit's; what is printed above it is
 * put there by taking the line away and having it drawn again.
 */
#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "editor.h"

enum { HISTORY_SIZE = 1000 };

/* == The screen ======================================================= */

int np_editor_columns(Editor *e) {
  struct winsize size;
  int fd = fileno(e->out);
  if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

typedef struct Place {
  int row, column, width;
} Place;

/* One character: a wide one that does not fit is put into the next row. */
static void place_advance(Place *p, int cells) {
  if (p->column + cells > p->width) {
    p->row++;
    p->column = 0;
  }
  p->column += cells;
  if (p->column < p->width) return;
  p->row++;
  p->column = 0;
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
      do
        place_advance(p, 1);
      while (p->column % 8 != 0);
    } else if (wcwidth(c) >= 0) {
      place_advance(p, wcwidth(c));
    } else {
      place_advance(p, 1); /* ^A and the like are two characters */
      place_advance(p, 1);
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
  Place p = {0, 0, np_editor_columns(e)};
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

/* Goes to the next row if the last output has not ended its own: as many blanks
 * as a row has fit only behind nothing. (A terminal moves on when something
 * follows the last of them.) */
static void fresh_row(Editor *e) {
  if (e->dumb) return;
  fprintf(e->out, "%*s\r\033[J", np_editor_columns(e), "");
  (void)fflush(e->out);
}

/* After a stop the terminal is as the shell likes it. libedit believes that
 * it is still raw, unless told. */
static void take_terminal(Editor *e) {
  np_el_set()(e->el, EL_PREP_TERM, 0);
  np_el_set()(e->el, EL_PREP_TERM, 1);
}

/* Draws the line again, in a row of its own after a stop. */
static void redraw(Editor *e, Command why) {
  if (why == RESUME) {
    if (tcgetpgrp(e->in) != getpgrp()) return; /* continued by `bg` */
    take_terminal(e);
    fresh_row(e);
  } else {
    hide_line(e);
  }
  np_el_resize()(e->el);
  np_el_set()(e->el, EL_REFRESH);
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
      redraw(e, e->command);
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

/*
 * While a line runs the terminal shows what is typed, as shells do, since the
 * line may read it. But if there is more already, somebody pastes, and every
 * line of that would be shown twice. In its midst the terminal can run dry.
 */
static void before_enter(Editor *e) {
  enum { DRY_MS = 20 };
  struct pollfd more = {.fd = e->in, .events = POLLIN};
  int pasting = poll(&more, 1, e->pasting ? DRY_MS : 0) == 1;
  if (pasting == e->pasting) return;
  e->pasting = pasting;
  if (pasting)
    np_el_set()(e->el, EL_SETTY, "-x", "-icanon", "-echo", NULL);
  else
    np_el_set()(e->el, EL_SETTY, "-x", "icanon", "echo", NULL);
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
    if (byte == '\r' || byte == '\n') before_enter(e);
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
  fresh_row(e);
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

void np_edit(void *argument) {
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
