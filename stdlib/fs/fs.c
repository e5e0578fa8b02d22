/*
 * fs.c - require "neap.fs.core": puts the room together.
 *
 * This room makes libuv's file threads do what would block, and knows files,
 * directories and the kernel's notifications. What scripts see is fs.lua.
 */
#include <fcntl.h>
#include <lauxlib.h>

#include "file.h"
#include "fs.h"

#if NP_HAVE_INOTIFY
#include <sys/inotify.h>
#endif

/* core.check_path(path, name, what) -> path; raises unless it can be one */
static int fs_check_path(lua_State *L) {
  (void)np_fs_path(L, 1, luaL_checkstring(L, 2), luaL_checkstring(L, 3));
  lua_settop(L, 1);
  return 1;
}

/**
 * fs.threads(n)
 *
 * Makes `n` file threads, from 1 to 1024, in place of 4, for all that this
 * process does with files. It must come before the first operation; later it
 * is a mistake.
 */
static int fs_threads(lua_State *L) {
  lua_Integer n;
  int err;
  np_fs_arguments(L, "threads", 1);
  n = np_fs_integer(L, 1, "threads", "n", 1);
  if (n > 1024) return neap_misuse(L, "threads", "n must be at most 1024");
  neap_permit(L, NEAP_MAY_PROCESS, "threads", NULL);
  err = neap_set_file_threads((int)n);
  if (err == UV_EALREADY)
    return neap_misuse(L, "threads", "files were used already");
  if (err < 0) return neap_fail(L, err, "threads");
  return 0;
}

static const luaL_Reg functions[] = {
  {"dir", np_dir_new},
  {"threads", fs_threads},
  {"watch", np_watch_new},
  {"check_path", fs_check_path},
  {NULL, NULL}
};

typedef struct Constant {
  const char *name;
  lua_Integer value;
} Constant;

static const Constant constants[] = {
  {"O_RDONLY", O_RDONLY},
  {"O_WRONLY", O_WRONLY},
  {"O_RDWR", O_RDWR},
  {"O_CREAT", O_CREAT},
  {"O_TRUNC", O_TRUNC},
  {"O_APPEND", O_APPEND},
  {"O_EXCL", O_EXCL},
#if NP_HAVE_INOTIFY
  {"IN_MODIFY", IN_MODIFY},
  {"IN_ATTRIB", IN_ATTRIB},
  {"IN_MOVED_FROM", IN_MOVED_FROM},
  {"IN_MOVED_TO", IN_MOVED_TO},
  {"IN_CREATE", IN_CREATE},
  {"IN_DELETE", IN_DELETE},
  {"IN_DELETE_SELF", IN_DELETE_SELF},
  {"IN_MOVE_SELF", IN_MOVE_SELF},
  {"IN_IGNORED", IN_IGNORED},
  {"IN_UNMOUNT", IN_UNMOUNT},
  {"IN_Q_OVERFLOW", IN_Q_OVERFLOW},
  {"IN_ISDIR", IN_ISDIR},
  {"IN_ONLYDIR", IN_ONLYDIR},
  {"IN_DONT_FOLLOW", IN_DONT_FOLLOW},
#endif
  {NULL, 0}
};

static void set_constants(lua_State *L) {
  const Constant *c;
  for (c = constants; c->name != NULL; c++) {
    lua_pushinteger(L, c->value);
    lua_setfield(L, -2, c->name);
  }
}

int luaopen_neap_fs_core(lua_State *L) {
  (void)neap_sandboxed(L); /* each operation asks */
  luaL_newlib(L, functions);
  set_constants(L);
  neap_setasync(L, np_open_ops);
  neap_setasync(L, np_whole_ops);
  neap_setasync(L, np_path_ops);
  neap_setasync(L, np_tree_ops);
  neap_setasync(L, np_temp_ops);
  neap_class_new(L, &np_file_class, np_file_methods, np_file_ops);
  neap_setasync(L, np_file_read_ops);
  lua_setfield(L, -2, "File");
  np_temp_open(L);
  lua_setfield(L, -2, "TempDir");
  np_dir_open(L);
  lua_pop(L, 1);
  np_watch_open(L);
  lua_pop(L, 1);
  return 1;
}
