/*
 * nomem_io.c - memory runs out at every place where it can: in net, fs and
 * process. The scripts are tests/vm/nomem/NAME.lua; see nomem.h.
 */
#define _GNU_SOURCE
#define USUAL_STEP 101
#include "nomem.h"

#include <glob.h>

/* Only where there is an OpenSSL that makes one. */
static void certificate_make(void) {
  static char path[] = "/tmp/neap-nomem-cert-XXXXXX";
  char command[400];
  int fd = mkstemp(path);
  if (fd < 0) return;
  close(fd);
  snprintf(command, sizeof command,
           "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
           "-nodes -days 2 -subj /CN=localhost -keyout %s.key -out %s "
           ">/dev/null 2>&1 && cat %s.key >>%s; rm -f %s.key",
           path, path, path, path, path);
  if (system(command) == 0) setenv("CERT", path, 1);
}

static const char *text_of(const char *path) {
  FILE *f = fopen(path, "r");
  char *text = calloc(1, 1 << 16);
  if (f == NULL || text == NULL || fread(text, 1, (1 << 16) - 1, f) == 0)
    abort();
  fclose(f);
  return text;
}

int main(void) {
  const char **scripts;
  glob_t found;
  int failed;
  if (glob("tests/vm/nomem/*.lua", 0, NULL, &found) != 0) return 1;
  unsetenv("CERT");
  certificate_make();
  scripts = calloc(found.gl_pathc, sizeof *scripts);
  if (scripts == NULL) abort();
  for (size_t i = 0; i < found.gl_pathc; i++) {
    printf("script %d is %s\n", (int)i, found.gl_pathv[i]);
    scripts[i] = text_of(found.gl_pathv[i]);
  }
  failed = nomem_run(scripts, (int)found.gl_pathc, 0);
  for (size_t i = 0; i < found.gl_pathc; i++) free((char *)scripts[i]);
  free(scripts);
  globfree(&found);
  if (getenv("CERT") != NULL) (void)remove(getenv("CERT"));
  return failed;
}
