/*
 * editline.c - finds libedit at run time. It may touch the dynamic loader.
 */
#include "editline.h"

#include <stddef.h>

int np_editline_load(void) {
  /* The names by which the systems have it. It stays loaded. */
  static const char *const names[] = {"libedit.so.2", "libedit.so.0",
                                      "libedit.so", "libedit.3.dylib"};
  size_t i;
  for (i = 0; i < sizeof names / sizeof *names; i++)
    if (dlopen(names[i], RTLD_NOW | RTLD_GLOBAL) != NULL) return 1;
  return 0;
}

void (*np_editline_find(const char *name))(void) {
  /* POSIX has it that an object pointer can hold a function's address. */
  void *found = dlsym(RTLD_DEFAULT, name);
  void (*function)(void);
  *(void **)(void *)&function = found;
  return function;
}
