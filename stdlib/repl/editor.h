/*
 * editor.h - the Editor: a line of a terminal, edited while tasks run.
 *
 * libedit, which reads a terminal and blocks, runs on a thread of its own
 * that is a coroutine in all but name: it runs only while the loop's thread
 * waits for it, and it hands over whenever it would block for a key. So
 * nothing here is shared by two that run, libedit's searches and key
 * sequences never block the loop, and its locale is nobody else's.
 */
#ifndef NP_EDITOR_H
#define NP_EDITOR_H

#include <locale.h>
#include <neap.h>
#include <stdio.h>
#include <uv.h>

#include "editline.h"
#include "sink.h"

enum { NP_PROMPT_SIZE = 256 };

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
  int pasting;     /* there was more input when the last line ended */
  FILE *file, *out; /* libedit's ends of the terminal */
  EditLine *el;
  History *history;
  locale_t locale;
  char prompt[NP_PROMPT_SIZE];
  char *line;      /* a finished one, or one to be completed */
  size_t cursor;
  char *insert;    /* what completion has found; the caller's */
} Editor;

/* The editing thread, whose argument is the Editor. */
void np_edit(void *editor);

/* The width of the terminal. */
int np_editor_columns(Editor *e);

/* core.editor() -> Editor; nil if there is no terminal */
int np_editor_open(lua_State *L);

/* Makes the class. */
void np_editor_class(lua_State *L);

#endif
