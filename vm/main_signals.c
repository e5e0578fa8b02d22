/*
 * main_signals.c - what the neap command does about signals.
 *
 * May touch neap.h and POSIX. Signals belong to the process, so their
 * handlers can know the machine only by the variables below. A program that
 * embeds several machines has several hosts and decides by itself which of
 * them a signal is for.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "main_signals.h"

static neap_Vm *volatile interruptible, *volatile dumpable;
static volatile sig_atomic_t interrupted;
static int editing;          /* how many sessions at the terminal there are */
static struct termios modes; /* of the terminal before the first of them */

static void on_dump_signal(int sig) {
  neap_Vm *vm = dumpable;
  (void)sig;
  if (vm != NULL) neap_dump(vm);
}

/* The first one cancels the main task, the second one ends the process. */
static void on_interrupt(int sig) {
  neap_Vm *vm = interruptible;
  (void)signal(sig, SIG_DFL);
  interrupted = 1;
  if (vm != NULL) neap_interrupt(vm);
}

static int handled_by(int sig, void (*handler)(int)) {
  struct sigaction now;
  return sigaction(sig, NULL, &now) == 0 && now.sa_handler == handler;
}

/* Only an interrupt ends the system call that a script waits in. */
static void handle(int sig, void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_handler = handler;
  action.sa_flags = sig == SIGINT ? 0 : SA_RESTART;
  sigemptyset(&action.sa_mask);
  (void)sigaction(sig, &action, NULL); /* fails for a bad signal only */
}

void signals_interrupt(neap_Vm *vm) {
  int on = vm != NULL;
  interruptible = vm;
  if (handled_by(SIGINT, on ? SIG_DFL : on_interrupt))
    handle(SIGINT, on ? on_interrupt : SIG_DFL);
}

int signals_interrupted(void) {
  int was = interrupted;
  interrupted = 0;
  return was;
}

static void on_cancel(int sig) {
  neap_Vm *vm = interruptible;
  (void)sig;
  if (vm != NULL) neap_interrupt(vm);
}

/* From the background the terminal may not be touched, nor need it be. */
static void on_deadly(int sig) {
  (void)signal(sig, SIG_DFL);
  if (tcgetpgrp(STDIN_FILENO) == getpgrp())
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &modes);
  (void)raise(sig);
}

static void exchange(int sig, void (*from)(int), void (*to)(int)) {
  if (handled_by(sig, from)) handle(sig, to);
}

void signals_edit(neap_Vm *vm, int on) {
  static const int deadly[] = {SIGHUP, SIGQUIT, SIGTERM};
  (void)vm;
  editing += on ? 1 : -1;
  if (editing != on) return; /* nested */
  if (on)
    handle(SIGINT, on_cancel);
  else
    exchange(SIGINT, on_cancel, interruptible ? on_interrupt : SIG_DFL);
  int has_modes = on && tcgetattr(STDIN_FILENO, &modes) == 0;
  for (size_t i = 0; i < sizeof(deadly) / sizeof(*deadly); i++) {
    if (has_modes) exchange(deadly[i], SIG_DFL, on_deadly);
    if (!on) exchange(deadly[i], on_deadly, SIG_DFL);
  }
}

int signals_reader_is_gone(int fd) {
  struct pollfd p = {.fd = fd, .events = 0};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

void signals_die_of_pipe(void) {
  handle(SIGPIPE, SIG_DFL);
  (void)raise(SIGPIPE);
}

/*
 * A write to a socket whose peer is gone must fail with EPIPE and raise in
 * the script, but `neap app.lua | head` should end silently as every command
 * does, even though print looks at no error. The signal does not say which
 * write caused it. So the first one for stdout is let through: stdio marks
 * the stream (ferror), and the next broken pipe of the process, which is the
 * next write to stdout unless the program writes to sockets only, finds the
 * mark and ends it. Ignoring the signal would be inherited by the programs
 * that os.execute starts; a handler is not.
 */
static void on_broken_pipe(int sig) {
  int saved = errno;
  (void)sig;
  if ((ferror(stdout) && signals_reader_is_gone(STDOUT_FILENO)) ||
      (ferror(stderr) && signals_reader_is_gone(STDERR_FILENO)))
    signals_die_of_pipe();
  errno = saved;
}

void signals_start(neap_Vm *vm) {
  dumpable = vm;
  handle(SIGUSR1, on_dump_signal);
  handle(SIGPIPE, on_broken_pipe);
  handle(SIGINT, SIG_DFL);
}

void signals_stop(void) {
  dumpable = NULL;
}
