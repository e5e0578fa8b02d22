/*
 * permit.c - what a script in a sandbox may touch.
 *
 * Every function of a module that reaches out of the machine asks here, in
 * C, before it does. Paths are made canonical first, with what links lead
 * to, and the canonical path is what is then used, pinned: so a link that is
 * changed, or put there, later leads nowhere else. Names of hosts are
 * permitted as names; the addresses that they were found to have are
 * remembered, since what is connected is an address.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "permit.h"

static const char *const names[] = {"read", "write", "connect", "listen",
                                    "run", "env", "process"};

/* The options of the command for these. */
static const char *const options[] = {"read", "write", "net", "listen", "run",
                                      "env", "process"};

enum { READ, WRITE, CONNECT, LISTEN, RUN, ENV, PROCESS };

int neap_sandboxed(lua_State *L) {
  np_Sandbox *s = np_vm(L)->sandbox;
  if (s != NULL) s->asks = 1;
  return s != NULL;
}

/* == Refusing ========================================================= */

static int refuse(lua_State *L, int list, const char *op, const char *what) {
  const char *space = what != NULL ? " " : "", *equals = what ? "=" : "";
  if (what == NULL) what = "";
  luaL_checkstack(L, 10, NULL);
  lua_pushfstring(L, "%s%s%s: not permitted (--allow-%s%s%s)", op, space,
                  what, options[list], equals, what);
  neap_error_new(L, "PermissionError", 0, "EPERM", lua_tostring(L, -1));
  lua_pushstring(L, names[list]);
  lua_setfield(L, -2, "permission");
  if (*what != '\0') {
    lua_pushstring(L, what);
    lua_setfield(L, -2, list <= WRITE ? "path" : "what");
  }
  return lua_error(L);
}

static int is_listed(const np_Rules *rules, const char *what) {
  size_t i;
  for (i = 0; i < rules->n; i++)
    if (strcmp(rules->rule[i].text, "*") == 0 ||
        strcmp(rules->rule[i].text, what) == 0)
      return 1;
  return 0;
}

int np_may_env(neap_Vm *vm, const char *name) {
  return vm->sandbox == NULL || is_listed(&vm->sandbox->lists[ENV], name);
}

void neap_permit(lua_State *L, int may, const char *op, const char *what) {
  neap_Vm *vm = np_vm(L);
  if (vm->sandbox == NULL) return;
  if (may == NEAP_MAY_ENV && np_may_env(vm, what)) return;
  if (may == NEAP_MAY_PROCESS && vm->sandbox->process) return;
  if (may == NEAP_MAY_RUN && is_listed(&vm->sandbox->lists[RUN], "*")) return;
  (void)refuse(L, may == NEAP_MAY_ENV ? ENV : may == NEAP_MAY_RUN ? RUN
                                                                  : PROCESS,
               op, what);
}

int neap_permitted_env(lua_State *L, const char *name) {
  return np_may_env(np_vm(L), name);
}

/* == Paths ============================================================ */

/* Appends "/name" to the canonical directory in `out`. */
static int join(char *out, const char *name) {
  size_t n = strlen(out), more = strlen(name);
  if (n + more + 2 > PATH_MAX) return ENAMETOOLONG;
  if (n == 0 || out[n - 1] != '/') out[n++] = '/';
  memcpy(out + n, name, more + 1);
  return 0;
}

/* The directory of `path` as realpath has it, and then `name`. What is not
 * there yet, `deep` directories at most, is taken as it is written. */
static int in_directory(const char *path, size_t length, const char *name,
                        int deep, char *out) {
  char directory[PATH_MAX];
  const char *slash;
  memcpy(directory, path, length);
  directory[length] = '\0';
  if (realpath(length > 0 ? directory : ".", out) != NULL)
    return join(out, name);
  if (errno != ENOENT || deep == 0) return errno;
  while (length > 1 && directory[length - 1] == '/') directory[--length] = '\0';
  slash = strrchr(directory, '/');
  slash = slash != NULL ? slash + 1 : directory;
  if (*slash == '\0' || strcmp(slash, "..") == 0 || strcmp(slash, ".") == 0)
    return ENOENT; /* nothing is there, or what is not there goes up */
  int err = in_directory(directory, (size_t)(slash - directory), slash,
                         deep - 1, out);
  return err != 0 ? err : join(out, name);
}

static int canonical_from(const char *path, int follow, int links, char *out);

/* Goes on with what the link at `out` leads to. */
static int through_link(char *out, int links) {
  char target[PATH_MAX], whole[PATH_MAX];
  ssize_t n = readlink(out, target, sizeof target - 1);
  char *slash = strrchr(out, '/');
  if (n < 0) return errno == EINVAL ? 0 : errno;
  if (links == 0) return ELOOP;
  target[n] = '\0';
  if (target[0] == '/') return canonical_from(target, 1, links - 1, out);
  slash[1] = '\0';
  if (strlen(out) + (size_t)n + 1 > sizeof whole) return ENAMETOOLONG;
  strcpy(whole, out);
  strcat(whole, target);
  return canonical_from(whole, 1, links - 1, out);
}

static int canonical_from(const char *path, int follow, int links,
                          char *out) {
  size_t n = strlen(path);
  const char *slash = strrchr(path, '/'), *last;
  struct stat st;
  int err;
  last = slash != NULL ? slash + 1 : path;
  if (n == 0) return ENOENT;
  if (n >= PATH_MAX) return ENAMETOOLONG;
  if (*last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
    if (realpath(path, out) != NULL) return 0;
    if (errno != ENOENT || *last != '\0') return errno;
    while (n > 1 && path[n - 1] == '/') n--; /* a directory to be made */
    char shorter[PATH_MAX];
    memcpy(shorter, path, n);
    shorter[n] = '\0';
    return canonical_from(shorter, follow, links, out);
  }
  err = in_directory(path, (size_t)(last - path), last, 32, out);
  if (err != 0) return err;
  if (!follow || lstat(out, &st) < 0 || !S_ISLNK(st.st_mode)) return 0;
  return through_link(out, links);
}

/* The canonical form of `path`, in `out` of PATH_MAX bytes: 0 or an errno. */
static int canonical(const char *path, int follow, char *out) {
  return canonical_from(path, follow, 16, out);
}

static int is_below(const char *path, const char *root) {
  size_t n = strlen(root);
  if (n == 0) return 0; /* a rule that names nothing */
  if (strncmp(path, root, n) != 0) return 0;
  return path[n] == '\0' || path[n] == '/' || (n > 0 && root[n - 1] == '/');
}

static int is_path_listed(const np_Rules *rules, const char *path) {
  size_t i;
  for (i = 0; i < rules->n; i++)
    if (is_below(path, rules->rule[i].text)) return 1;
  return 0;
}

const char *neap_permit_path(lua_State *L, int index, int may,
                             const char *op) {
  np_Sandbox *s = np_vm(L)->sandbox;
  const char *path = luaL_checkstring(L, index);
  char real[PATH_MAX];
  int err;
  if (s == NULL) return path;
  if (strlen(path) != lua_rawlen(L, index))
    luaL_error(L, "%s: the path has a NUL", op);
  err = canonical(path, !(may & NEAP_NO_FOLLOW), real);
  if (err != 0) /* why it is so may tell of what is outside */
    (void)refuse(L, may & NEAP_MAY_WRITE ? WRITE : READ, op, path);
  if (may & NEAP_MAY_WRITE && !is_path_listed(&s->lists[WRITE], real))
    (void)refuse(L, WRITE, op, path);
  if (may & NEAP_MAY_READ && !is_path_listed(&s->lists[READ], real))
    (void)refuse(L, READ, op, path);
  lua_pushstring(L, real);
  lua_replace(L, index < 0 ? index - 1 : index);
  return lua_tostring(L, index);
}

#ifdef O_PATH

#define WALK (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* The directory `name` in `fd`, which is closed. */
static int descend(int fd, const char *name, int make) {
  int next = openat(fd, name, WALK), err;
  if (next < 0 && errno == ENOENT && make &&
      (mkdirat(fd, name, 0777) == 0 || errno == EEXIST))
    next = openat(fd, name, WALK);
  err = errno;
  (void)close(fd);
  return next < 0 ? uv_translate_sys_error(err) : next;
}

int neap_permit_pin(const char *path, int make, char *text, size_t size) {
  const char *slash;
  int fd;
  if (*path != '/' || access("/proc/self/fd", X_OK) < 0) return UV_ENOTSUP;
  fd = open("/", WALK);
  if (fd < 0) return uv_translate_sys_error(errno);
  while (fd >= 0 && (slash = strchr(++path, '/')) != NULL) {
    char name[NAME_MAX + 1];
    size_t n = (size_t)(slash - path);
    if (n >= sizeof name) {
      (void)close(fd);
      return UV_ENAMETOOLONG;
    }
    memcpy(name, path, n);
    name[n] = '\0';
    fd = descend(fd, name, make);
    path = slash;
  }
  if (fd < 0) return fd;
  if ((size_t)snprintf(text, size, "/proc/self/fd/%d/%s", fd, path) < size)
    return fd;
  (void)close(fd);
  return UV_ENAMETOOLONG;
}

#else

int neap_permit_pin(const char *path, int make, char *text, size_t size) {
  (void)path;
  (void)make;
  (void)text;
  (void)size;
  return UV_ENOTSUP;
}

#endif

int neap_permitted_read(lua_State *L, int index) {
  return np_may_read(np_vm(L), luaL_checkstring(L, index));
}

int np_may_read(neap_Vm *vm, const char *path) {
  char real[PATH_MAX];
  if (vm->sandbox == NULL) return 1;
  return canonical(path, 1, real) == 0 &&
         is_path_listed(&vm->sandbox->lists[READ], real);
}

int neap_permitted_program(lua_State *L, const char *path) {
  np_Sandbox *s = np_vm(L)->sandbox;
  char real[PATH_MAX];
  if (s == NULL) return 1;
  return canonical(path, 0, real) == 0 && is_listed(&s->lists[RUN], real);
}

int neap_refuse_program(lua_State *L, const char *op, const char *what) {
  return refuse(L, RUN, op, what);
}

/* == Hosts ============================================================ */

static int to_address(const char *host, unsigned char *to) {
  struct sockaddr_in ip4;
  struct sockaddr_in6 ip6;
  if (uv_ip4_addr(host, 0, &ip4) == 0) {
    memset(to, 0, 10);
    to[10] = to[11] = 0xff;
    memcpy(to + 12, &ip4.sin_addr, 4);
    return 1;
  }
  if (uv_ip6_addr(host, 0, &ip6) != 0) return 0;
  memcpy(to, &ip6.sin6_addr, 16);
  return 1;
}

static int same_name(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  if (n > 0 && a[n - 1] == '.') n--;
  if (m > 0 && b[m - 1] == '.') m--;
  return n == m && strncasecmp(a, b, n) == 0;
}

/* 1 if the name of the rule was found to have the address. */
static int was_found(const np_Sandbox *s, size_t list, size_t rule,
                     const unsigned char *address) {
  size_t i, n = s->nfound < NP_FOUND ? s->nfound : NP_FOUND;
  for (i = 0; i < n; i++)
    if (s->found[i].list == list && s->found[i].rule == rule &&
        memcmp(s->found[i].address, address, 16) == 0)
      return 1;
  return 0;
}

/* What is known of this name without asking. */
static int is_local(const char *name, const char *address) {
  return same_name(name, "localhost") && (strcmp(address, "127.0.0.1") == 0 ||
                                          strcmp(address, "::1") == 0);
}

static int is_host_listed(const np_Sandbox *s, size_t list, const char *host,
                          int port) {
  unsigned char address[16];
  int numeric = to_address(host, address);
  size_t i;
  for (i = 0; i < s->lists[list].n; i++) {
    const np_Rule *r = &s->lists[list].rule[i];
    if (port >= 0 && r->port >= 0 && r->port != port) continue;
    if (r->host == NULL) return 1;
    if (numeric && r->is_address && memcmp(r->address, address, 16) == 0)
      return 1;
    if (numeric && !r->is_address &&
        (was_found(s, list, i, address) || is_local(r->host, host)))
      return 1;
    if (!numeric && !r->is_address && same_name(r->host, host)) return 1;
  }
  return 0;
}

int neap_permitted_host(lua_State *L, int may, const char *host, int port) {
  np_Sandbox *s = np_vm(L)->sandbox;
  if (s == NULL) return 1;
  if (may == NEAP_MAY_LISTEN) return is_host_listed(s, LISTEN, host, port);
  return is_host_listed(s, CONNECT, host, port) ||
         (port < 0 && is_host_listed(s, LISTEN, host, port));
}

void neap_permit_host(lua_State *L, int may, const char *op,
                      const char *host, int port) {
  if (neap_permitted_host(L, may, host, port)) return;
  luaL_checkstack(L, 5, NULL);
  if (port < 0)
    lua_pushstring(L, host);
  else
    lua_pushfstring(L, strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host,
                    port);
  (void)refuse(L, may == NEAP_MAY_LISTEN ? LISTEN : CONNECT, op,
               lua_tostring(L, -1));
}

void neap_permit_found(lua_State *L, const char *name, const char *text) {
  np_Sandbox *s = np_vm(L)->sandbox;
  np_Found found;
  uint32_t list;
  if (s == NULL || !to_address(text, found.address)) return;
  for (list = CONNECT; list <= LISTEN; list++) {
    size_t i;
    for (i = 0; i < s->lists[list].n; i++) {
      const np_Rule *r = &s->lists[list].rule[i];
      if (r->host == NULL || r->is_address || !same_name(r->host, name) ||
          was_found(s, list, i, found.address))
        continue;
      found.list = list;
      found.rule = (uint32_t)i;
      s->found[s->nfound++ % NP_FOUND] = found;
    }
  }
}

/* == Descriptors ====================================================== */

void neap_give_fd(lua_State *L, int fd) {
  np_Sandbox *s = np_vm(L)->sandbox;
  if (s == NULL || fd < 0 || fd >= (int)sizeof s->fds * 8) return;
  s->fds[fd / 8] |= (unsigned char)(1 << fd % 8);
}

void neap_take_fd(lua_State *L, const char *op, int fd) {
  np_Sandbox *s = np_vm(L)->sandbox;
  if (s == NULL) return;
  if (fd < 0 || fd >= (int)sizeof s->fds * 8 ||
      !(s->fds[fd / 8] & 1 << fd % 8))
    (void)refuse(L, PROCESS, op, NULL);
  s->fds[fd / 8] &= (unsigned char)~(1 << fd % 8);
}

/* == The lists ======================================================== */

static void host_rule(np_Rule *r) {
  char *colon = strrchr(r->text, ':'), *close = strchr(r->text, ']');
  char *host = r->text;
  r->port = -1;
  if (*host == '[' && close != NULL) { /* [::1]:80 */
    host++;
    if (colon < close) colon = NULL;
    *close = '\0';
  } else if (colon != NULL && strchr(r->text, ':') != colon) {
    colon = NULL; /* ::1 */
  }
  if (colon != NULL) {
    *colon = '\0';
    if (strcmp(colon + 1, "*") != 0) r->port = atoi(colon + 1);
  }
  r->host = strcmp(host, "*") == 0 || *host == '\0' ? NULL : host;
  r->is_address = r->host != NULL && to_address(r->host, r->address);
}

/* The program that a shell would run; else what was given. */
static void find_program(const char *name, char *out) {
  const char *path = getenv("PATH"), *end;
  strcpy(out, name);
  if (strchr(name, '/') != NULL || path == NULL) return;
  for (;; path = end + 1) {
    end = strchrnul(path, ':');
    if (snprintf(out, PATH_MAX, "%.*s/%s", (int)(end - path), path, name) <
            PATH_MAX && access(out, X_OK) == 0)
      return;
    if (*end == '\0') break;
  }
  strcpy(out, name);
}

/* Sets the rule; 0 or -1 if memory is out. */
static int set_rule(np_Rule *r, int list, const char *given) {
  char path[PATH_MAX], real[PATH_MAX];
  if (strlen(given) >= PATH_MAX) given = "";
  strcpy(path, given);
  if (list == RUN && strcmp(given, "*") != 0) find_program(given, path);
  if (list <= WRITE || (list == RUN && strcmp(given, "*") != 0))
    if (canonical(path, list != RUN, real) == 0) strcpy(path, real);
  r->text = strdup(path);
  if (r->text == NULL) return -1;
  if (list == CONNECT || list == LISTEN) host_rule(r);
  return 0;
}

static int copy_list(np_Sandbox *s, int list, const char *const *given) {
  np_Rules *rules = &s->lists[list];
  size_t n = 0;
  if (given == NULL) return 0;
  while (given[n] != NULL) n++;
  rules->rule = calloc(n + 1, sizeof *rules->rule);
  if (rules->rule == NULL) return UV_ENOMEM;
  for (; rules->n < n; rules->n++)
    if (set_rule(&rules->rule[rules->n], list, given[rules->n]) < 0)
      return UV_ENOMEM;
  return 0;
}

int np_sandbox_new(neap_Vm *vm, const neap_Sandbox *given) {
  neap_Sandbox o;
  np_Sandbox *s;
  int err = 0, i;
  if (given == NULL) return 0;
  memset(&o, 0, sizeof o);
  memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
  s = vm->sandbox = calloc(1, sizeof *s);
  if (s == NULL) return UV_ENOMEM;
  s->found = calloc(NP_FOUND, sizeof *s->found);
  if (s->found == NULL) return UV_ENOMEM;
  s->process = o.process;
  const char *const *const lists[] = {o.read, o.write, o.connect,
                                      o.listen, o.run, o.env};
  for (i = 0; err == 0 && i <= ENV; i++) err = copy_list(s, i, lists[i]);
  return err;
}

void np_sandbox_free(neap_Vm *vm) {
  np_Sandbox *s = vm->sandbox;
  size_t i;
  int list;
  if (s == NULL) return;
  for (list = READ; list <= ENV; list++) {
    for (i = 0; i < s->lists[list].n; i++) free(s->lists[list].rule[i].text);
    free(s->lists[list].rule);
  }
  free(s->found);
  free(s);
  vm->sandbox = NULL;
}
