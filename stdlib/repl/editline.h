/*
 * editline.h - libedit, loaded when the first session at a terminal begins.
 *
 * Linking it would cost every start of every program a third of a
 * millisecond. So it is opened by name, and each function here gives one of
 * libedit's, to be called: np_el_set()(el, EL_REFRESH). They may be called
 * once np_editline_load has given 1.
 */
#ifndef NP_EDITLINE_H
#define NP_EDITLINE_H

#include <dlfcn.h>
#include <histedit.h>
#include <stdio.h>

/* 1, or 0 if there is no libedit on this machine. */
int np_editline_load(void);

/* The function of that name; what it is converted to must be its type. */
void (*np_editline_find(const char *name))(void);

static inline EditLine *(*np_el_init(void))(const char *, FILE *, FILE *,
                                            FILE *) {
  return (EditLine * (*)(const char *, FILE *, FILE *, FILE *))
      np_editline_find("el_init");
}
static inline void (*np_el_end(void))(EditLine *) {
  return (void (*)(EditLine *))np_editline_find("el_end");
}
static inline int (*np_el_set(void))(EditLine *, int, ...) {
  return (int (*)(EditLine *, int, ...))np_editline_find("el_set");
}
static inline int (*np_el_wset(void))(EditLine *, int, ...) {
  return (int (*)(EditLine *, int, ...))np_editline_find("el_wset");
}
static inline int (*np_el_get(void))(EditLine *, int, ...) {
  return (int (*)(EditLine *, int, ...))np_editline_find("el_get");
}
static inline const char *(*np_el_gets(void))(EditLine *, int *) {
  return (const char *(*)(EditLine *, int *))np_editline_find("el_gets");
}
static inline const LineInfo *(*np_el_line(void))(EditLine *) {
  return (const LineInfo *(*)(EditLine *))np_editline_find("el_line");
}
static inline int (*np_el_insertstr(void))(EditLine *, const char *) {
  return (int (*)(EditLine *, const char *))np_editline_find("el_insertstr");
}
static inline int (*np_el_source(void))(EditLine *, const char *) {
  return (int (*)(EditLine *, const char *))np_editline_find("el_source");
}
static inline void (*np_el_resize(void))(EditLine *) {
  return (void (*)(EditLine *))np_editline_find("el_resize");
}
static inline History *(*np_history_init(void))(void) {
  return (History * (*)(void))np_editline_find("history_init");
}
static inline void (*np_history_end(void))(History *) {
  return (void (*)(History *))np_editline_find("history_end");
}
static inline int (*np_history(void))(History *, HistEvent *, int, ...) {
  return (int (*)(History *, HistEvent *, int, ...))np_editline_find(
      "history");
}

#endif
