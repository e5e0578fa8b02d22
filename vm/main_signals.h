/*
 * main_signals.h - what the neap command does about signals: see main.c.
 */
#ifndef NP_MAIN_SIGNALS_H
#define NP_MAIN_SIGNALS_H

#include "neap.h"

/*
 * SIGUSR1 shows the tasks of the machine, until signals_stop. A broken pipe of
 * stdout ends the process. SIGINT is no longer ignored, as it is in a
 * shell's background job: lua can be interrupted there.
 */
void signals_start(neap_Vm *vm);
void signals_stop(void);

/*
 * The first SIGINT cancels the machine's main task, the second one ends the
 * process; with NULL the first one does. A handler that the script has set
 * since the start is left alone.
 */
void signals_interrupt(neap_Vm *vm);

/* 1 if there was one since the last call. */
int signals_interrupted(void);

/*
 * While lines are edited at the terminal, each SIGINT cancels what runs, or
 * the line; and the signals that end the process give the terminal the modes
 * that it had before. For the options of the machine; may nest.
 */
void signals_edit(neap_Vm *vm, int on);

/* Whether nobody can read what is written there any more. */
int signals_reader_is_gone(int fd);

/* Ends the process as a write to a pipe without reader does. */
void signals_die_of_pipe(void);

#endif
