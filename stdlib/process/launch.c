/*
 * launch.c - between vfork and exec.
 *
 * vfork, because it costs the same however much memory we have. The child
 * borrows that memory until exec, so it must not run our signal handlers,
 * and sets its user by system calls: the C library would tell our threads.
 * Why it failed comes through a pipe that exec closes.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

typedef struct Failure {
  int error;
  np_Stage stage;
} Failure;

int np_fd_raise(int fd) {
  int raised, error;
  if (fd < 0 || fd > 2) return fd;
  raised = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  error = errno;
  (void)close(fd);
  errno = error;
  return raised;
}

/* == In the child: system calls only ================================== */

/* Nothing of ours may run in the child. What is ignored stays so, but for
 * SIGPIPE, which hosts ignore for themselves. */
static void signals_reset(void) {
  struct sigaction action, was;
  int sig;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  for (sig = 1; sig < NSIG; sig++)
    if (sigaction(sig, NULL, &was) == 0 &&
        (was.sa_handler != SIG_IGN || sig == SIGPIPE) &&
        was.sa_handler != SIG_DFL)
      (void)sigaction(sig, &action, NULL);
}

/* Whatever else is open, by libraries too, ends with exec. */
static void descriptors_close(void) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
#endif
  struct rlimit most;
  int fd, end = 65536;
  if (getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur < 65536)
    end = (int)most.rlim_cur;
  for (fd = 3; fd < end; fd++) (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static int streams_set(const np_Launch *l) {
  int i;
  for (i = 0; i < 3; i++)
    if (l->fds[i] >= 0 && dup2(l->fds[i], i) < 0) return -1;
  return l->terminal ? ioctl(0, TIOCSCTTY, 0) : 0;
}

static int user_set(const np_Launch *l) {
  if (l->has_groups && syscall(SYS_setgroups, l->ngroups, l->groups) < 0)
    return -1;
  if (l->has_gid && syscall(SYS_setresgid, l->gid, l->gid, l->gid) < 0)
    return -1;
  if (l->has_uid && syscall(SYS_setresuid, l->uid, l->uid, l->uid) < 0)
    return -1;
  return 0;
}

/* Returns only if it failed. A program that may not be executed is more
 * worth telling than others that are not there. */
static int execute(const np_Launch *l) {
  char **path;
  int error = ENOENT;
  for (path = l->paths; *path != NULL; path++) {
    (void)execve(*path, l->argv, l->envp);
    if (l->paths[1] == NULL) return errno;
    if (errno == EACCES)
      error = EACCES;
    else if (errno != ENOENT && errno != ENOTDIR)
      return errno;
  }
  return error;
}

static Failure child(const np_Launch *l) {
  sigset_t none;
  signals_reset();
  if (l->session) (void)setsid(); /* a new process leads no group yet */
  if (l->group) (void)setpgid(0, 0);
  if (streams_set(l) < 0) return (Failure){errno, NP_STAGE_STREAMS};
  if (l->cwd != NULL && chdir(l->cwd) < 0)
    return (Failure){errno, NP_STAGE_CWD};
  if (user_set(l) < 0) return (Failure){errno, NP_STAGE_USER};
  descriptors_close();
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  return (Failure){execute(l), NP_STAGE_EXEC};
}

/* == In the parent ==================================================== */

static pid_t start(const np_Launch *l, int report) {
  pid_t pid = vfork();
  if (pid == 0) {
    Failure f = child(l);
    (void)!write(report, &f, sizeof f); /* less than a pipe always takes */
    _exit(127);
  }
  return pid;
}

static ssize_t read_all(int fd, void *to, size_t size) {
  ssize_t n;
  do n = read(fd, to, size);
  while (n < 0 && errno == EINTR);
  return n;
}

/* An ignored SIGCHLD, which is inherited, would keep the status from us. */
static void children_allow(void) {
  struct sigaction action;
  if (sigaction(SIGCHLD, NULL, &action) < 0) return;
  if (action.sa_handler != SIG_IGN) return;
  action.sa_handler = SIG_DFL;
  (void)sigaction(SIGCHLD, &action, NULL);
}

int np_launch(const np_Launch *l, pid_t *pid, np_Stage *stage) {
  int report[2], error;
  sigset_t all, before;
  Failure failure = {0, NP_STAGE_EXEC};
  *stage = NP_STAGE_EXEC;
  if (pipe2(report, O_CLOEXEC) < 0) return errno;
  report[0] = np_fd_raise(report[0]);
  report[1] = np_fd_raise(report[1]);
  if (report[0] < 0 || report[1] < 0) {
    error = errno;
    if (report[0] >= 0) (void)close(report[0]);
    if (report[1] >= 0) (void)close(report[1]);
    return error;
  }
  children_allow();
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  *pid = start(l, report[1]);
  error = *pid < 0 ? errno : 0;
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  (void)close(report[1]);
  if (error == 0 && read_all(report[0], &failure, sizeof failure) > 0) {
    error = failure.error;
    *stage = failure.stage;
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) continue;
  }
  (void)close(report[0]);
  return error;
}
