/*
 * echo.c - the limit of a TCP echo server on libuv. `echo c` answers from the
 * read callback; `echo lua` has one Lua coroutine per connection whose loop
 * reads a string and writes it. Both read into one static buffer and try to
 * write at once. Prints its port, serves until it is killed.
 */
#include <signal.h>
#include <string.h>
#include <uv.h>

#include "luabench.h"

typedef struct Server {
  uv_tcp_t tcp;
  lua_State *L; /* NULL in plain C */
  char buffer[65536];
} Server;

typedef struct Conn {
  uv_tcp_t tcp; /* first: the handle is the connection */
  uv_write_t request;
  lua_State *co;
  int anchor;
  char *rest; /* what the socket did not take at once */
} Conn;

static const char CHUNK[] =
    "local read, write = read, write "
    "return function(conn) "
    "  while true do "
    "    local s = read(conn) "
    "    if not s then return end "
    "    write(conn, s) "
    "  end "
    "end";

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  (void)size;
  Server *server = handle->loop->data;
  *buf = uv_buf_init(server->buffer, sizeof(server->buffer));
}

static void on_closed(uv_handle_t *handle) {
  Conn *c = (Conn *)handle;
  Server *server = handle->loop->data;
  if (c->co != NULL) luaL_unref(server->L, LUA_REGISTRYINDEX, c->anchor);
  free(c->rest);
  free(c);
}

static void conn_close(Conn *c) {
  if (!uv_is_closing((uv_handle_t *)c)) uv_close((uv_handle_t *)c, on_closed);
}

static void conn_resume(Conn *c, int arguments) {
  Server *server = c->tcp.loop->data;
  int n = 0;
  if (lua_resume(c->co, server->L, arguments, &n) != LUA_YIELD) conn_close(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void on_written(uv_write_t *request, int status) {
  Conn *c = (Conn *)request->handle;
  free(c->rest);
  c->rest = NULL;
  if (status < 0) {
    conn_close(c);
    return;
  }
  (void)uv_read_start((uv_stream_t *)c, on_alloc, on_read);
  if (c->co != NULL) conn_resume(c, 0);
}

/* Queues what is left, and does not read on until it is gone. */
static int write_rest(Conn *c, const char *data, size_t n) {
  uv_buf_t buf = uv_buf_init(c->rest = malloc(n), (unsigned)n);
  if (c->rest == NULL) return UV_ENOMEM;
  memcpy(c->rest, data, n);
  (void)uv_read_stop((uv_stream_t *)c);
  return uv_write(&c->request, (uv_stream_t *)c, &buf, 1, on_written);
}

/* 0 when all is written, 1 when some is queued, or a negative code. */
static int conn_write(Conn *c, const char *data, size_t n) {
  uv_buf_t buf = uv_buf_init((char *)data, (unsigned)n);
  int sent = uv_try_write((uv_stream_t *)c, &buf, 1);
  if (sent == (int)n) return 0;
  if (sent < 0 && sent != UV_EAGAIN) return sent;
  if (sent < 0) sent = 0;
  int err = write_rest(c, data + sent, n - (size_t)sent);
  return err < 0 ? err : 1;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  Conn *c = (Conn *)stream;
  if (n == 0) return;
  if (c->co == NULL) {
    if (n < 0 || conn_write(c, buf->base, (size_t)n) < 0) conn_close(c);
    return;
  }
  if (n < 0)
    lua_pushnil(c->co);
  else
    lua_pushlstring(c->co, buf->base, (size_t)n);
  conn_resume(c, 1);
}

/* read(conn) -> string, or nil at the end; the callback pushes it */
static int lua_read(lua_State *L) { return lua_yield(L, 0); }

static int lua_write(lua_State *L) {
  size_t n;
  Conn *c = lua_touserdata(L, 1);
  const char *data = luaL_checklstring(L, 2, &n);
  int queued = conn_write(c, data, n);
  if (queued < 0) return luaL_error(L, "%s", uv_strerror(queued));
  return queued ? lua_yield(L, 0) : 0;
}

static void conn_start(Server *server, Conn *c) {
  (void)uv_read_start((uv_stream_t *)c, on_alloc, on_read);
  if (server->L == NULL) return;
  c->co = lua_newthread(server->L);
  c->anchor = luaL_ref(server->L, LUA_REGISTRYINDEX);
  lua_pushvalue(server->L, 1);
  lua_xmove(server->L, c->co, 1);
  lua_pushlightuserdata(c->co, c);
  conn_resume(c, 1);
}

static void on_connection(uv_stream_t *stream, int status) {
  Conn *c = calloc(1, sizeof(*c));
  if (status < 0 || c == NULL) die("connection");
  (void)uv_tcp_init(stream->loop, &c->tcp);
  if (uv_accept(stream, (uv_stream_t *)c) < 0) {
    conn_close(c);
    return;
  }
  (void)uv_tcp_nodelay(&c->tcp, 1);
  conn_start(stream->loop->data, c);
}

static void open_handler(Server *server) {
  lua_State *L = server->L = luaL_newstate();
  if (L == NULL) die("luaL_newstate");
  luaL_openlibs(L);
  lua_register(L, "read", lua_read);
  lua_register(L, "write", lua_write);
  if (luaL_dostring(L, CHUNK) != LUA_OK) die(lua_tostring(L, -1));
}

int main(int argc, char **argv) {
  static Server server;
  struct sockaddr_in at;
  int size = sizeof(at);
  uv_loop_t *loop = uv_default_loop();
  signal(SIGPIPE, SIG_IGN);
  if (argc > 1 && strcmp(argv[1], "lua") == 0) open_handler(&server);
  loop->data = &server;
  uv_tcp_init(loop, &server.tcp);
  uv_ip4_addr("127.0.0.1", 0, &at);
  uv_tcp_bind(&server.tcp, (struct sockaddr *)&at, 0);
  if (uv_listen((uv_stream_t *)&server.tcp, 1024, on_connection) < 0)
    die("listen");
  uv_tcp_getsockname(&server.tcp, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
