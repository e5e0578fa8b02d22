/*
 * file.h - open files: the class File.
 *
 * What is done with a file is a job in its queue, one after the other, so
 * that many tasks may write and each operation finds the position where the
 * one before it left it. The position is ours: ordinary files are read and
 * written at offsets, and what is read ahead is in `in`, which begins at it.
 * FIFOs and devices that can be polled have no jobs for reading and writing:
 * these wait in the loop.
 *
 * The descriptor is closed when the file is and its queue is empty.
 */
#ifndef NP_FILE_H
#define NP_FILE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <uv.h>

#include "buf.h"
#include "job.h"
#include "neap.h"

/* What the reading task wants. */
typedef struct np_Want {
  enum { NP_WANT_SIZE, NP_WANT_LINE, NP_WANT_ALL } kind;
  size_t n;       /* SIZE: bytes; LINE: the most of it, or 0 */
  size_t scanned; /* unread bytes known not to end a line */
  size_t found;   /* length of the line with its end */
  int whole;      /* LINE: its end is given too */
} np_Want;

typedef struct np_File {
  neap_Handle handle; /* first */
  uv_poll_t poll;
  neap_Wait reader;
  neap_Wait closer;   /* who waits until the descriptor is closed */
  np_Want want;
  np_Buf in;          /* unread bytes, the first of them at `pos` */
  size_t counted;     /* of its memory, see neap_memory_count */
  int64_t pos;        /* -1 if there are no positions */
  np_Job *first, *last; /* the queue */
  np_Job *active;     /* which is being done */
  char *path;
  int fd;             /* -1 after it was closed */
  int end;            /* of this read: UV_EOF, or why */
  int close_status;
  int events;         /* that are polled for */
  uint8_t readable, writable, append;
  uint8_t polls;      /* reads and writes wait in the loop */
  uint8_t ready;      /* there is probably something to read */
  uint8_t burst;      /* reads since the task last waited */
  uint8_t slow;       /* cannot be read without perhaps waiting */
  uint8_t filling;    /* a job reads to `in` */
  uint8_t nexting;
  uint8_t temporary;  /* removed when closed */
} np_File;

extern const neap_Class np_file_class;

/* Pushes a File of the descriptor that the job has opened, and takes it. */
np_File *np_file_new(lua_State *L, np_Job *job);

/* The open file at 1. */
np_File *np_file_check(lua_State *L);

/* == The queue ======================================================== */

/* Puts the job into its file's queue: 1 if it can begin at once. */
int np_file_enter(np_Job *job);

/* Takes the job out of the queue. */
void np_file_leave(np_Job *job);

/* Begins the next job, or closes the descriptor; once after each leave. */
void np_file_next(np_File *f);

/* == Reading and writing ============================================== */

/* Begins to read more: 1 if something has changed already, 0 if the task
 * must wait in `reader`. */
int np_file_fill(np_File *f);

/* Polls for these events also, or (`off`) no longer for them. */
int np_file_poll(np_File *f, int events, int off);

/* Forgets what was read ahead: the position stays. */
void np_file_forget(np_File *f);

/* The poll of a file whose write is the active job has come. */
void np_file_write_on(np_File *f);

struct luaL_Reg;
extern const struct luaL_Reg np_file_methods[];
extern const neap_Async np_file_read_ops[], np_file_ops[];

#endif
