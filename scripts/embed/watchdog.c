/*
 * watchdog.c - another thread ends a script that takes too long.
 *
 * --> the script says goodbye
 * --> it was ended
 */
#include <neap.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char script[] =
    "local _ <close> = asyncio.defer(function()\n"
    "  print 'the script says goodbye'\n"
    "end)\n"
    "await asyncio.sleep(0.001)\n"
    "while true do end";

/* Whoever owns the machine waits for this thread before it frees that. */
static void *watch(void *vm) {
  struct timespec limit = {0, 50000000};
  nanosleep(&limit, NULL);
  neap_interrupt(vm);
  return NULL;
}

int main(void) {
  pthread_t dog;
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  int n, status = neap_load(L, script, strlen(script), "=script", "t");
  if (status != LUA_OK || pthread_create(&dog, NULL, watch, vm) != 0) return 1;
  neap_spawn(L, 0, "main");
  neap_set_main(L, -1); /* who an interrupt goes to */
  status = neap_wait(L, -1, &n);
  pthread_join(dog, NULL);
  if (status == NEAP_ECANCELED) printf("it was ended\n");
  neap_vm_free(vm);
  return status != NEAP_ECANCELED;
}
