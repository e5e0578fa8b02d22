/*
 * poll_loop.c - a machine in a loop of poll(2) that the host has written.
 *
 * The loop waits for a descriptor of the host's and for the machine's, and
 * no longer than the machine says. What the host reads goes to the script as
 * an event; the script has timers and sockets of its own meanwhile.
 *
 * --> the host read 3 bytes
 * --> the script heard one
 * --> the script has slept
 * --> the host read 3 bytes
 * --> the script heard two
 * --> the host read the end
 * --> the script is done
 */
#include <neap.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char script[] =
    "for text in input:items() do\n"
    "  print('the script heard ' .. text)\n"
    "  if text == 'one' then\n"
    "    await asyncio.sleep(0.01)\n"
    "    print 'the script has slept'\n"
    "    send 'two'\n"
    "    send(nil)\n"
    "  end\n"
    "end\n"
    "print 'the script is done'\n";

/* send(text): writes into the host's pipe, or closes it */
static int send_text(lua_State *L) {
  int *pipe_fd = neap_data(neap_vm(L));
  const char *text = lua_tostring(L, 1);
  if (text == NULL) close(pipe_fd[1]);
  else if (write(pipe_fd[1], text, strlen(text)) < 0) perror("write");
  return 0;
}

/* The pipe is readable. Returns 0 at its end. */
static int take_input(int fd, neap_Events *input) {
  char text[64];
  ssize_t n = read(fd, text, sizeof text);
  if (n <= 0) {
    printf("the host read the end\n");
    neap_events_free(input); /* the script's loop ends, too */
    return 0;
  }
  printf("the host read %d bytes\n", (int)n);
  neap_Value event = neap_lstring(text, (size_t)n);
  return neap_events_push(input, &event, 1) == 0;
}

static void run_loop(neap_Vm *vm, int fd, neap_Events *input) {
  struct pollfd fds[2] = {{neap_backend_fd(vm), POLLIN, 0}, {fd, POLLIN, 0}};
  nfds_t count = 2;
  do {
    if (poll(fds, count, neap_backend_timeout(vm)) < 0) return;
    if (count == 2 && fds[1].revents != 0 && !take_input(fd, input)) count = 1;
  } while (neap_poll(vm, 0));
}

/* Sets up what the script needs; runs protected. */
static int start(lua_State *L) {
  neap_Events **input = lua_touserdata(L, 1);
  *input = neap_events_new(L, 0);
  lua_setglobal(L, "input");
  lua_register(L, "send", send_text);
  if (neap_load(L, script, strlen(script), "=script", "t") != LUA_OK)
    return lua_error(L);
  neap_spawn(L, 0, "main");
  return 0;
}

int main(void) {
  int pipe_fd[2];
  neap_Events *input;
  neap_Options options = {.size = sizeof options, .data = pipe_fd};
  neap_Vm *vm = neap_vm_new(&options);
  if (vm == NULL || pipe(pipe_fd) != 0) return 1;
  lua_State *L = neap_state(vm);
  lua_pushcfunction(L, start);
  lua_pushlightuserdata(L, &input);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) return 1;
  if (write(pipe_fd[1], "one", 3) != 3) return 1;
  run_loop(vm, pipe_fd[0], input);
  neap_vm_free(vm);
  close(pipe_fd[0]);
  return 0;
}
