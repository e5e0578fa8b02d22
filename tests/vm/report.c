/*
 * report.c - what a machine tells its host.
 */
#include "host.h"

/* == Reports =========================================================== */

static void test_reports(void) {
  Host host;
  host_open(&host, NULL);
  expect(run(&host, "local async function f() end f() f = nil") == LUA_OK);
  lua_gc(host.L, LUA_GCCOLLECT);
  (void)neap_poll(host.vm, 0);
  expect(host.warnings == 1 && strstr(host.text, "never awaited") != NULL);
  expect(strcmp(host.file, "host") == 0 && host.line == 1);
  expect(neap_failed(host.vm) == 0);
  expect(run(&host, "local async function f()\n\n error 'lost' end\n"
                    "asyncio.create_task(f()) await asyncio.sleep(0)\n"
                    "await asyncio.sleep(0)") == LUA_OK);
  lua_gc(host.L, LUA_GCCOLLECT);
  lua_gc(host.L, LUA_GCCOLLECT);
  expect(host.errors == 1 && strstr(host.text, "lost") != NULL);
  expect(strcmp(host.file, "host") == 0 && host.line == 3);
  expect(neap_failed(host.vm) == 1);
  neap_report(host.vm, NEAP_REPORT_WARNING, "mine", NULL);
  expect(host.warnings == 2 && strcmp(host.text, "mine") == 0);
  expect(*host.file == '\0' && host.line == 0);
  neap_set_debug(host.vm, 1);
  expect(neap_debug(host.vm) == 1);
  neap_set_debug(host.vm, 0);
  host_close(&host);
}

static void test_error_text(void) {
  Host host;
  int n;
  host_open(&host, NULL);
  start(host.L, "local async function deep() error('oops') end\n"
                "local async function f() await deep() end\n"
                "await asyncio.create_task(f())");
  expect(neap_wait(host.L, 1, &n) == LUA_ERRRUN);
  neap_error_text(host.L, -1, 1);
  expect(strstr(lua_tostring(host.L, -1), "host:1: oops") != NULL);
  expect(strstr(lua_tostring(host.L, -1), "awaited at host:3") != NULL);
  lua_settop(host.L, 0);
  lua_pushnil(host.L);
  neap_error_text(host.L, -1, 0);
  expect(lua_isstring(host.L, -1));
  host_close(&host);
}

/* Where an error was raised is told whatever kind of error it is. */
static void test_places(void) {
  static const struct {
    const char *raise, *file;
    int line;
  } all[] = {
    {"\n error 'text'", "host", 2},
    {"error(asyncio.Error.new 'object')", "host", 1},
    {"error('no position', 0)", "", 0},
    {"error {}", "", 0},
    {"load('\\n error(1 .. 2)', 'a:1: \"b')()", "[string \"a:1: \"b\"]", 2},
    {"load('error [[1]]', '=C:x')()", "C:x", 1},
    {"error(setmetatable({}, asyncio.Error))", "", 0},
  };
  size_t i;
  for (i = 0; i < sizeof all / sizeof *all; i++) {
    char text[256];
    Host host;
    host_open(&host, NULL);
    snprintf(text, sizeof text, "asyncio._call_soon(function() %s end) "
             "await asyncio.sleep(0) await asyncio.sleep(0)", all[i].raise);
    expect(run(&host, text) == LUA_OK);
    expect(host.errors == 1);
    expect(strcmp(host.file, all[i].file) == 0 && host.line == all[i].line);
    if (failures) printf("%s: %s:%d\n", all[i].raise, host.file, host.line);
    host_close(&host);
  }
}

static void test_kept_sources(void) {
  static const char text[] = "local f\n\tf() -- the call\n";
  Host host;
  int n;
  host_open(&host, NULL);
  neap_keep_source(host.L, "host", text, sizeof text - 1);
  start(host.L, text);
  expect(neap_wait(host.L, 1, &n) == LUA_ERRRUN);
  neap_error_text(host.L, -1, 1);
  expect(strstr(lua_tostring(host.L, -1),
                "\n    f() -- the call\nstack traceback:") != NULL);
  lua_settop(host.L, 0);
  /* Two texts by one name: the last one, and in its main chunk only. */
  expect(run(&host, "function g()\n\n error 'old' end") == LUA_OK);
  neap_keep_source(host.L, "host", "g(\n)", 5);
  start(host.L, "g(\n)");
  expect(neap_wait(host.L, 1, &n) == LUA_ERRRUN);
  neap_error_text(host.L, -1, 1);
  expect(strstr(lua_tostring(host.L, -1), "old\nstack") != NULL);
  lua_settop(host.L, 0);
  host_close(&host);
}

static void test_reported_source(void) {
  static const char text[] = "asyncio._call_soon(function()\n"
                             " error 'x' end) await asyncio.sleep(0)";
  Host host;
  host_open(&host, NULL);
  expect(run(&host, text) == LUA_OK);
  expect(host.errors == 1 && host.line == 2 && *host.source == '\0');
  neap_keep_source(host.L, "host", text, sizeof text - 1);
  expect(run(&host, text) == LUA_OK);
  expect(host.errors == 2 && strcmp(host.source,
         "error 'x' end) await asyncio.sleep(0)") == 0);
  host_close(&host);
}

int main(void) {
  test_reports();
  test_error_text();
  test_places();
  test_kept_sources();
  test_reported_source();
  if (failures == 0) printf("report: ok\n");
  return failures != 0;
}
