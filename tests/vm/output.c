/*
 * output.c - nothing is printed and nothing ends behind the host's back.
 */
#include <fcntl.h>
#include <unistd.h>

#include "host.h"

typedef struct Sink {
  Host host;
  char out[2][8192];
  int calls, exits, code;
} Sink;

static void on_write(neap_Vm *vm, int fd, const char *text, size_t length) {
  Sink *sink = neap_data(vm);
  sink->calls++;
  if (fd != 1 && fd != 2) abort();
  if (strlen(sink->out[fd - 1]) + length < sizeof sink->out[0])
    strncat(sink->out[fd - 1], text, length);
}

static void on_exit_call(neap_Vm *vm, int code) {
  Sink *sink = neap_data(vm);
  sink->exits++;
  sink->code = code;
}

static void open_sink(Sink *sink, int exits) {
  neap_Options options;
  memset(sink, 0, sizeof *sink);
  memset(&options, 0, sizeof options);
  options.write = on_write;
  if (exits) options.exit = on_exit_call;
  host_open_with(&sink->host, &options);
}

/* Runs it with what it has written until now forgotten. */
static int script(Sink *sink, const char *text) {
  sink->out[0][0] = sink->out[1][0] = '\0';
  sink->calls = 0;
  return run(&sink->host, text);
}

#define wrote(sink, fd, text) expect(strcmp((sink).out[(fd) - 1], text) == 0)

static void test_write(void) {
  Sink s;
  open_sink(&s, 0);
  expect(script(&s, "print(1, nil, setmetatable({}, {__tostring =\n"
                    "  function() return 'mine' end}), 'a\\0b')") == LUA_OK);
  wrote(s, 1, "1\tnil\tmine\ta");
  expect(s.calls == 1);
  expect(script(&s, "print()") == LUA_OK);
  wrote(s, 1, "\n");
  expect(script(&s, "io.write('a', 1, 2.5) io.stdout:write('b')\n"
                    "print 'c' io.stderr:write('d') io.stdout:flush()") ==
         LUA_OK);
  wrote(s, 1, "a12.5bc\n");
  wrote(s, 2, "d");
  expect(script(&s, "assert(io.type(io.stdout) == 'file')\n"
                    "assert(io.output() == io.stdout)\n"
                    "assert(io.stdout:setvbuf('full'))\n"
                    "io.write('kept') assert(io.stdout:flush())\n"
                    "return io.stdout:close()") == LUA_OK);
  wrote(s, 1, "kept");
  expect(lua_isnil(s.host.L, 1));
  expect(strstr(lua_tostring(s.host.L, 2), "standard file") != NULL);
  expect(script(&s, "io.write(('x'):rep(8000))") == LUA_OK);
  expect(strlen(s.out[0]) == 8000);
  host_close(&s.host);
}

static void test_warnings(void) {
  Sink s;
  open_sink(&s, 0);
  expect(script(&s, "warn 'unheard' warn '@on' warn('a', 'b', 'c')") ==
         LUA_OK);
  expect(strcmp(s.host.text, "abc") == 0 && s.host.warnings == 0);
  expect(script(&s, "warn('@', 'on') warn '@off' warn 'no'") == LUA_OK);
  expect(strcmp(s.host.text, "@on") == 0);
  expect(s.calls == 0);
  host_close(&s.host);
}

static void test_exit(void) {
  Sink s;
  int code = 0;
  open_sink(&s, 1);
  expect(script(&s, "local _ <close> = asyncio.defer(function()\n"
                    "  print 'cleaned' end)\n"
                    "pcall(os.exit, 3) print 'not here'") == NEAP_ECANCELED);
  expect(s.exits == 1 && s.code == 3);
  wrote(s, 1, "cleaned\n");
  expect(neap_exiting(s.host.vm, &code) == 1 && code == 3);
  host_close(&s.host);
  open_sink(&s, 1); /* where it cannot be suspended */
  expect(script(&s, "pcall(table.sort, {3, 1, 2}, function()\n"
                    "  pcall(os.exit, false) print 'not here' end)\n"
                    "print 'nor here'") == NEAP_ECANCELED);
  expect(s.exits == 1 && s.code == EXIT_FAILURE);
  wrote(s, 1, "");
  host_close(&s.host);
  open_sink(&s, 1); /* outside of a task */
  expect(script(&s, "asyncio._call_soon(function() os.exit() end)\n"
                    "await asyncio.sleep(1000)") == NEAP_ECANCELED);
  expect(s.exits == 1 && s.code == 0);
  host_close(&s.host);
}

/* The files of the process get nothing of all this. */
static FILE *redirect(int *saved) {
  FILE *file = tmpfile();
  int fd;
  if (file == NULL) abort();
  for (fd = 1; fd <= 2; fd++) {
    saved[fd] = dup(fd);
    if (saved[fd] < 0 || dup2(fileno(file), fd) < 0) abort();
  }
  return file;
}

static void restore(const int *saved) {
  int fd;
  (void)fflush(stdout);
  for (fd = 1; fd <= 2; fd++) {
    if (dup2(saved[fd], fd) < 0) abort();
    (void)close(saved[fd]);
  }
}

int main(void) {
  int saved[3];
  FILE *file = redirect(saved);
  test_write();
  test_warnings();
  test_exit();
  if (failures == 0) expect(lseek(fileno(file), 0, SEEK_END) == 0);
  (void)fflush(stdout);
  restore(saved);
  if (failures > 0) {
    int c;
    rewind(file);
    while ((c = getc(file)) != EOF) putchar(c);
  } else {
    printf("output: ok\n");
  }
  fclose(file);
  return failures != 0;
}
