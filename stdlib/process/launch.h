/*
 * launch.h - a new process: from our memory to another program.
 *
 * Everything that needs memory or may wait is prepared in np_Launch before;
 * what happens in the child then only makes system calls. No Lua, no libuv.
 */
#ifndef NP_LAUNCH_H
#define NP_LAUNCH_H

#include <stddef.h>
#include <sys/types.h>

typedef struct np_Launch {
  char **argv;  /* ends with NULL, like the next two */
  char **envp;
  char **paths; /* what to try to execute, in order */
  const char *cwd; /* or NULL */
  int fds[3];      /* what becomes 0, 1, 2: at least 3, or -1 to inherit */
  int session;     /* leads a new session, with fds[0] for its terminal ... */
  int terminal;    /* ... if this is set */
  int group;       /* leads a new process group */
  int has_uid, has_gid, has_groups;
  uid_t uid;
  gid_t gid;
  const gid_t *groups;
  size_t ngroups;
} np_Launch;

/* What could not be done. */
typedef enum np_Stage {
  NP_STAGE_EXEC,
  NP_STAGE_CWD,
  NP_STAGE_USER,
  NP_STAGE_STREAMS
} np_Stage;

/*
 * Starts it: 0 and its number in *pid; or an errno, and in *stage what it is
 * about. Then nothing was started.
 */
int np_launch(const np_Launch *l, pid_t *pid, np_Stage *stage);

/* Moves a descriptor that is below 3 above that, close-on-exec: the new one
 * or -1 with errno, and `fd` is closed. */
int np_fd_raise(int fd);

#endif
