/*
 * report.c - what a machine tells its host, and where its texts go.
 *
 * Everything that a person should read and that no script asked for comes
 * through np_report, Lua's own warnings and last words too. Calls no Lua, so
 * that it may be used wherever something goes wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* Splits "app.lua:12" into the report's file, kept in `room`, and line. */
static void set_place(neap_Report *report, const char *where, char *room,
                      size_t size) {
  const char *colon = where != NULL ? strrchr(where, ':') : NULL;
  size_t n;
  if (colon == NULL) return;
  n = (size_t)(colon - where);
  if (n >= size) n = size - 1;
  memcpy(room, where, n);
  room[n] = '\0';
  report->file = room;
  report->line = atoi(colon + 1);
}

void np_report(neap_Vm *vm, int kind, const char *text,
               const char *traceback, const char *task, const char *where,
               const char *source) {
  neap_Report report;
  char file[256];
  if (kind == NEAP_REPORT_ERROR) vm->failed = 1;
  if (vm->report == NULL) return;
  memset(&report, 0, sizeof report);
  report.kind = kind;
  report.text = text;
  report.traceback = traceback;
  report.task = task;
  report.source = source;
  set_place(&report, where, file, sizeof file);
  vm->report(vm, &report);
}

void neap_report(neap_Vm *vm, int kind, const char *text,
                 const char *traceback) {
  np_report(vm, kind, text, traceback, NULL, NULL, NULL);
}

int neap_failed(neap_Vm *vm) { return vm->failed; }

void neap_terminal(neap_Vm *vm, int on) {
  if (vm->terminal != NULL) vm->terminal(vm, on);
}

/* Lua's warnings, as its own state has them: off until "@on". */
static void on_warning(void *ud, const char *message, int more) {
  neap_Vm *vm = ud;
  if (!vm->warn_more && !more && message[0] == '@') {
    if (strcmp(message, "@on") == 0) vm->warn = 1;
    else if (strcmp(message, "@off") == 0) vm->warn = 0;
    return;
  }
  vm->warn_more = more;
  if (!vm->warn) return;
  /* Without memory a piece is lost: there is nobody to tell. */
  (void)np_buf_append(&vm->warning, message, strlen(message));
  if (more || np_buf_append(&vm->warning, "", 1) < 0) return;
  neap_report(vm, NEAP_REPORT_LUA, np_buf_data(&vm->warning), NULL);
  np_buf_clear(&vm->warning);
}

/* Lua aborts behind it, so it is said even if the host listens to nothing. */
static int on_panic(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  const char *message = lua_tostring(L, -1);
  char text[256];
  snprintf(text, sizeof text, "error outside of any protection: %s",
           message != NULL ? message : "not a string");
  if (vm->report == NULL) fprintf(stderr, "neap: %s\n", text);
  neap_report(vm, NEAP_REPORT_ERROR, text, NULL);
  return 0;
}

void np_report_open(neap_Vm *vm) {
  np_buf_init(&vm->warning);
  (void)lua_atpanic(vm->L, on_panic);
  lua_setwarnf(vm->L, on_warning, vm);
}
