/*
 * files.c - how many threads the host wants for files.
 */
#include "host.h"

#include <uv.h>

int main(void) {
  Host host;
  setenv("UV_THREADPOOL_SIZE", "5", 1);
  expect(neap_set_file_threads(0) == UV_EINVAL);
  expect(neap_set_file_threads(1025) == UV_EINVAL);
  expect(neap_set_file_threads(2) == 0);
  expect(strcmp(getenv("UV_THREADPOOL_SIZE"), "5") == 0);
#ifdef __linux__
  expect(neap_set_file_threads(3) == UV_EALREADY);
  host_open(&host, NULL);
  expect(run(&host, "local n = 0 "
                    "for _ in require 'neap.fs'.scandir '/proc/self/task' do "
                    "n = n + 1 end return n") == LUA_OK);
  expect(lua_tointeger(host.L, 1) == 3);
  host_close(&host);
#endif
  return failures != 0;
}
