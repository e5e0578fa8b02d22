/*
 * temp_names.c - temporary files whose random names are taken already: what
 * bears the name is not touched. What is random is so only where this program
 * lets it. Each script waits until its own are gone.
 */
#include "host.h"

#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

static int next; /* what the next name is made of */

/* In the place of libuv's: each name comes twice. */
int uv_random(uv_loop_t *loop, uv_random_t *request, void *buf, size_t size,
              unsigned flags, uv_random_cb done) {
  (void)loop;
  (void)request;
  (void)flags;
  (void)done;
  memset(buf, next++ / 2, size);
  return 0;
}

static void check(Host *host, int names, const char *script) {
  next = 0;
  expect(run(host, script) == LUA_OK);
  expect(next == names); /* a name that was taken has come up */
}

int main(void) {
  char own[] = "/tmp/neap-test-XXXXXX"; /* another run has the same names */
  Host host;
  expect(mkdtemp(own) != NULL && setenv("TMPDIR", own, 1) == 0);
  host_open(&host, NULL);
  check(&host, 3,
        "local fs = require 'neap.fs'\n"
        "local a <close> = await fs.temp_file()\n"
        "await a:write('mine')\n"
        "local b <close> = await fs.temp_file()\n"
        "assert(a:path() ~= b:path())\n"
        "assert(await fs.read_file(a:path()) == 'mine')\n"
        "await a:close() await b:close()");
  check(&host, 3,
        "local fs = require 'neap.fs'\n"
        "local a <close> = await fs.temp_dir()\n"
        "local b <close> = await fs.temp_dir()\n"
        "assert(a:path() ~= b:path())\n"
        "await a:close() await b:close()");
  check(&host, 2,
        "local fs = require 'neap.fs'\n"
        "local dir <close> = await fs.temp_dir()\n"
        "local path, victim = dir:path 'file', dir:path 'victim'\n"
        "await fs.write_file(path, 'old')\n"
        "await fs.write_file(victim, 'theirs')\n"
        "await fs.symlink(victim, dir:path '..aaaaaaaaaaaa')\n"
        "local ok, e = pcall(function()\n"
        "  await fs.write_file(path, 'new', {atomic = true})\n"
        "end)\n"
        "assert(not ok and e.code == 'EEXIST')\n"
        "assert(await fs.read_file(victim) == 'theirs')\n"
        "assert(await fs.read_file(path) == 'old')\n"
        "await dir:close()");
  host_close(&host);
  expect(rmdir(own) == 0);
  return failures != 0;
}
