/*
 * fs.h - what the files of this room give to fs.c, which puts them into the
 * table neap.fs.core, and to each other.
 */
#ifndef NP_FS_H
#define NP_FS_H

#include <lua.h>

#include "job.h"
#include "neap.h"

/* Watching is Linux's inotify; -DNP_HAVE_INOTIFY=0 does without, too. */
#ifndef NP_HAVE_INOTIFY
#ifdef __linux__
#define NP_HAVE_INOTIFY 1
#else
#define NP_HAVE_INOTIFY 0
#endif
#endif

extern const neap_Async np_open_ops[], np_whole_ops[], np_path_ops[],
  np_tree_ops[], np_temp_ops[];

/* dir.c, temp.c, watch.c: push the method tables of their classes */
void np_dir_open(lua_State *L);
void np_temp_open(lua_State *L);
void np_watch_open(lua_State *L);

int np_dir_new(lua_State *L);
int np_watch_new(lua_State *L);

/* write.c: all `size` bytes; 0 or a code, *done counts. */
int np_fs_write(int fd, const char *data, size_t size, int64_t offset,
                size_t *done);

/* write.c: closes what nobody took. */
void np_fs_discard_fd(np_Job *job);

/* path.c: gives the table of job->stat. */
int np_fs_stat_done(lua_State *L, int status);

/* path.c: the name of a kind of file, by the bits of its mode. */
const char *np_fs_type(unsigned mode);

/* tree.c: removes `path` with all that is in it; 0 or a code. */
int np_fs_remove_tree(const char *path, const atomic_int *stop);

/* temp.c: the path of the TempDir at `index`, or NULL. */
const char *np_temp_dir_test(lua_State *L, int index);

/* temp.c: puts 12 random characters where `to` is. 0 or a code. */
int np_fs_random(char *to);

#endif
