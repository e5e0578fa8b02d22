/*
 * repl.c - require "neap.repl.core": what a session needs of C.
 *
 * This room edits lines of a terminal while tasks run: edit.c is libedit on a
 * thread, editor.c the class Editor, sink.c what is printed meanwhile. Here
 * is the rest: spawning the lines, the modules and pages of the program, and
 * files. What is behind the prompt (the session, completion, help, printing)
 * is Lua.
 */
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#include "editor.h"

/* core.spawn(f, name) -> Task that runs the function, and no coroutine */
static int repl_spawn(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  lua_pushvalue(L, 1);
  neap_spawn(L, 0, name);
  return 1;
}

/* core.terminal(on): a session at the terminal begins or has ended */
static int repl_terminal(lua_State *L) {
  neap_terminal(neap_vm(L), lua_toboolean(L, 1));
  return 0;
}

/* core.is_terminal(fd) -> whether it is one */
static int repl_is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
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

/* core.keep_source(text): errors of what was typed quote its lines */
static int repl_keep_source(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  neap_keep_source(L, "stdin", text, size);
  return 0;
}

/* core.modules() -> list of names */
static int repl_modules(lua_State *L) {
  lua_newtable(L);
  const neap_Module *m = NULL;
  while ((m = neap_module_next(m)) != NULL) {
    lua_pushstring(L, m->name);
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
  }
  return 1;
}

/* core.source(file) -> text of that file of stdlib/, or nil */
static int repl_source(lua_State *L) {
  const char *file = luaL_checkstring(L, 1);
  const neap_Module *m = NULL;
  while ((m = neap_module_next(m)) != NULL) {
    if (m->file == NULL || strcmp(m->file, file) != 0) continue;
    lua_pushlstring(L, m->source, m->length);
    return 1;
  }
  return 0;
}

/* core.pages() -> list of the names of pages */
static int repl_pages(lua_State *L) {
  lua_newtable(L);
  for (const neap_Page *page = neap_pages; page->name != NULL; page++) {
    lua_pushstring(L, page->name);
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
  }
  return 1;
}

/* core.page(name) -> its text, or nil */
static int repl_page(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  for (const neap_Page *page = neap_pages; page->name != NULL; page++) {
    if (strcmp(page->name, name) != 0) continue;
    lua_pushstring(L, page->text);
    return 1;
  }
  return 0;
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

static const luaL_Reg functions[] = {
    {"editor", np_editor_open},
    {"spawn", repl_spawn},
    {"set_main", repl_set_main},
    {"terminal", repl_terminal},
    {"is_terminal", repl_is_terminal},
    {"error_text", repl_error_text},
    {"keep_source", repl_keep_source},
    {"modules", repl_modules},
    {"source", repl_source},
    {"pages", repl_pages},
    {"page", repl_page},
    {"append", repl_append},
    {"list", repl_list},
    {NULL, NULL}};

int luaopen_neap_repl_core(lua_State *L) {
  if (neap_sandboxed(L)) neap_permit(L, NEAP_MAY_PROCESS, "repl", NULL);
  np_editor_class(L);
  luaL_newlib(L, functions);
  return 1;
}
