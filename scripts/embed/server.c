/*
 * server.c - a server of a line protocol whose commands are async functions
 * of a script, on the host's own libuv loop.
 *
 * The host has the sockets and the protocol: a line is a command and its
 * argument. A command may wait; others are served meanwhile.
 *
 * --> client: slow one
 * --> client: upper two
 * --> client: what three
 * --> server: TWO
 * --> server: ERROR no command 'what'
 * --> server: one, after all
 */
#include <lauxlib.h>
#include <neap.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

static const char script[] =
    "local commands = {}\n"
    "async function commands.upper(text) return text:upper() end\n"
    "async function commands.slow(text)\n"
    "  await asyncio.sleep(0.05) return text .. ', after all'\n"
    "end\n"
    "async function command(name, text)\n"
    "  local f = commands[name]\n"
    "  if not f then error((\"no command '%s'\"):format(name)) end\n"
    "  return await f(text)\n"
    "end\n";

/* == Connections ======================================================= */

typedef struct Conn {
  uv_tcp_t tcp; /* first */
  uv_tcp_t *listener;
  neap_Vm *vm;
  int holders;    /* the connection, and each command that runs */
  char line[256]; /* what has come of the next line */
  size_t used;
} Conn;

static void release(Conn *conn) {
  if (--conn->holders == 0) free(conn);
}

static void on_closed(uv_handle_t *handle) { release((Conn *)handle); }

typedef struct Answer {
  uv_write_t request; /* first */
  char text[256];
} Answer;

static void on_written(uv_write_t *request, int status) {
  (void)status; /* the reader hears of a broken connection */
  free(request);
}

static void answer(Conn *conn, const char *kind, const char *text) {
  Answer *a = malloc(sizeof *a);
  if (a == NULL) return;
  int n = snprintf(a->text, sizeof a->text, "%s%.200s\n", kind, text);
  uv_buf_t buf = uv_buf_init(a->text, (unsigned)n);
  if (uv_write(&a->request, (uv_stream_t *)conn, &buf, 1, on_written) < 0)
    free(a);
}

/* == Commands ========================================================== */

/* The task of a command has ended: its values or its error are there. */
static void on_ended(lua_State *L, int status, int nresults, void *data) {
  Conn *conn = data;
  if (uv_is_closing((uv_handle_t *)conn)) {
    release(conn); /* nobody hears it */
    return;
  }
  if (status != LUA_OK) answer(conn, "ERROR ", neap_error(L, 1)->message);
  else answer(conn, "", nresults > 0 ? luaL_tolstring(L, 1, NULL) : "");
  release(conn);
}

/* Runs protected: starts the command that is in the connection's line. */
static int start_command(lua_State *L) {
  Conn *conn = lua_touserdata(L, 1);
  size_t n = strcspn(conn->line, " ");
  lua_getglobal(L, "command");
  lua_pushlstring(L, conn->line, n);
  lua_pushstring(L, conn->line + n + (conn->line[n] == ' '));
  neap_spawn(L, 2, "command");
  neap_task_done(L, -1, on_ended, conn);
  conn->holders++;
  return 0;
}

static void take_line(Conn *conn) {
  lua_State *L = neap_state(conn->vm);
  lua_pushcfunction(L, start_command);
  lua_pushlightuserdata(L, conn);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  answer(conn, "ERROR ", lua_tostring(L, -1));
  lua_pop(L, 1);
}

/* == The server ======================================================== */

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  (void)size;
  buf->base = ((Conn *)handle)->line + ((Conn *)handle)->used;
  buf->len = sizeof ((Conn *)handle)->line - 1 - ((Conn *)handle)->used;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  Conn *conn = (Conn *)stream;
  char *end;
  (void)buf;
  if (n < 0) { /* the end, or a line that is too long; one client is enough */
    uv_close((uv_handle_t *)conn->listener, NULL);
    uv_close((uv_handle_t *)conn, on_closed);
    return;
  }
  conn->used += (size_t)n;
  conn->line[conn->used] = '\0';
  while ((end = strchr(conn->line, '\n')) != NULL) {
    *end = '\0';
    take_line(conn);
    conn->used -= (size_t)(end + 1 - conn->line);
    memmove(conn->line, end + 1, conn->used + 1);
  }
}

static void on_connection(uv_stream_t *listener, int status) {
  Conn *conn = status == 0 ? calloc(1, sizeof *conn) : NULL;
  if (conn == NULL) return;
  conn->listener = (uv_tcp_t *)listener;
  conn->vm = listener->data;
  conn->holders = 1;
  (void)uv_tcp_init(listener->loop, &conn->tcp);
  if (uv_accept(listener, (uv_stream_t *)conn) < 0 ||
      uv_read_start((uv_stream_t *)conn, on_alloc, on_read) < 0)
    uv_close((uv_handle_t *)conn, on_closed);
}

/* Listens on a free port, which it returns. */
static int listen_on(uv_tcp_t *listener, neap_Vm *vm) {
  struct sockaddr_in at;
  int size = sizeof at;
  (void)uv_ip4_addr("127.0.0.1", 0, &at);
  listener->data = vm;
  if (uv_tcp_init(uv_default_loop(), listener) < 0 ||
      uv_tcp_bind(listener, (struct sockaddr *)&at, 0) < 0 ||
      uv_listen((uv_stream_t *)listener, 8, on_connection) < 0 ||
      uv_tcp_getsockname(listener, (struct sockaddr *)&at, &size) < 0)
    exit(1);
  return ntohs(at.sin_port);
}

/* == A client, in a thread of its own ================================== */

static void *client(void *ud) {
  static const char lines[] = "slow one\nupper two\nwhat three\n";
  struct sockaddr_in at;
  int fd = socket(AF_INET, SOCK_STREAM, 0), count = 0;
  char text[64];
  (void)uv_ip4_addr("127.0.0.1", *(int *)ud, &at);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) exit(1);
  printf("client: slow one\nclient: upper two\nclient: what three\n");
  if (write(fd, lines, strlen(lines)) < 0) exit(1);
  FILE *answers = fdopen(fd, "r");
  while (count++ < 3 && fgets(text, sizeof text, answers) != NULL)
    printf("server: %s", text);
  (void)fclose(answers);
  return NULL;
}

int main(void) {
  pthread_t thread;
  uv_tcp_t listener;
  neap_Options options = {.size = sizeof options, .loop = uv_default_loop()};
  neap_Vm *vm = neap_vm_new(&options);
  if (vm == NULL) return 1;
  if (neap_dostring(vm, script, "=script") != LUA_OK) return 1;
  int port = listen_on(&listener, vm);
  if (pthread_create(&thread, NULL, client, &port) != 0) return 1;
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  pthread_join(thread, NULL);
  neap_vm_free(vm);
  return uv_loop_close(uv_default_loop()) != 0;
}
