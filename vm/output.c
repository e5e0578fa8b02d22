/*
 * output.c - what scripts write, given to the host instead of the process.
 *
 * io.stdout and io.stderr become files of C's whose writes call the host, so
 * that everything Lua's io library does with them goes on to work; print is
 * written anew, because Lua's does not use them.
 */
#include <lualib.h>

#include "vm.h"

/* print(...), one call of the host's for a line */
static int output_print(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  int i, n = lua_gettop(L);
  const char *text;
  size_t length;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&b, '\t');
    (void)luaL_tolstring(L, i, NULL);
    luaL_addvalue(&b);
  }
  luaL_addchar(&b, '\n');
  luaL_pushresult(&b);
  text = lua_tolstring(L, -1, &length);
  vm->write(vm, 1, text, length);
  return 0;
}

/* == Files of C's ====================================================== */

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || \
    defined(__NetBSD__) || defined(__DragonFly__)
static int write_output(void *cookie, const char *text, int size) {
  np_Output *o = cookie;
  if (size > 0) o->vm->write(o->vm, o->fd, text, (size_t)size);
  return size;
}

static FILE *open_output(np_Output *o) {
  return funopen(o, NULL, write_output, NULL, NULL);
}
#else
static ssize_t write_output(void *cookie, const char *text, size_t size) {
  np_Output *o = cookie;
  if (size > 0) o->vm->write(o->vm, o->fd, text, size);
  return (ssize_t)size;
}

static FILE *open_output(np_Output *o) {
  cookie_io_functions_t functions = {NULL, write_output, NULL, NULL};
  return fopencookie(o, "w", functions);
}
#endif

/* As Lua's own standard files answer. */
static int no_close(lua_State *L) {
  luaL_Stream *s = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  s->closef = no_close;
  luaL_pushfail(L);
  lua_pushliteral(L, "cannot close standard file");
  return 2;
}

/* Sets io[name], with io on top; leaves the file there. */
static void set_file(lua_State *L, neap_Vm *vm, int fd, const char *name) {
  np_Output *o = &vm->outputs[fd - 1];
  luaL_Stream *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->closef = NULL;
  luaL_setmetatable(L, LUA_FILEHANDLE);
  o->vm = vm;
  o->fd = fd;
  o->file = open_output(o);
  if (o->file == NULL) luaL_error(L, "not enough memory");
  (void)setvbuf(o->file, NULL, _IONBF, 0); /* a host sees all at once */
  s->f = o->file;
  s->closef = no_close;
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, name);
}

void np_output_open(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_pushcfunction(L, output_print);
  lua_setglobal(L, "print");
  lua_getglobal(L, LUA_IOLIBNAME);
  set_file(L, vm, 2, "stderr");
  lua_pop(L, 1);
  set_file(L, vm, 1, "stdout");
  lua_getfield(L, -2, "output"); /* makes it the default one */
  lua_insert(L, -2);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
}

void np_output_close(neap_Vm *vm) {
  int i;
  for (i = 0; i < 2; i++)
    if (vm->outputs[i].file != NULL) (void)fclose(vm->outputs[i].file);
  np_buf_free(&vm->warning);
}
