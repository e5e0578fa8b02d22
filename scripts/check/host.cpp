// host.cpp - a host in C++, with or without exceptions.
//
// install.sh compiles it both ways against what was installed. Exceptions
// stay on the host's side: none crosses a function of neap's.
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

#include <neap.h>

#ifdef __cpp_exceptions
#include <stdexcept>
#endif

namespace {

const char text[] =
    "async function twice(x) return 2 * x end\n"
    "async function slow(x) return await asyncio.sleep(0.001, x) end\n"
    "async function fails() error('no bread', 0) end\n"
    "print((require 'host.greeting'))\n";

const char greeting[] = "await asyncio.sleep(0) return 'good morning'";

const neap_Module modules[] = {
    {"host.greeting", "greeting.lua", greeting, sizeof greeting - 1, nullptr},
    {nullptr, nullptr, nullptr, 0, nullptr}};

class Machine {
 public:
  Machine() {
    neap_Options options = {};
    options.size = sizeof options;
    options.write = [](neap_Vm *vm, int, const char *s, size_t n) {
      static_cast<Machine *>(neap_data(vm))->output.append(s, n);
    };
    options.data = this;
    vm = neap_vm_new(&options);
    neap_preload(neap_state(vm), modules);
  }
  ~Machine() { neap_vm_free(vm); }
  Machine(const Machine &) = delete;
  Machine &operator=(const Machine &) = delete;

  // The function's result for x, or an error's text in `error`.
  lua_Integer call(const char *name, lua_Integer x, std::string &error) {
    lua_State *L = neap_state(vm);
    int n = 0;
    lua_settop(L, 0);
    lua_getglobal(L, name);
    lua_pushinteger(L, x);
    if (neap_call(L, 1, &n) != LUA_OK) error = neap_error(L, -1)->text;
    return n > 0 ? lua_tointeger(L, -1) : 0;
  }

  neap_Vm *vm = nullptr;
  std::string output;
};

int ended = 0;

bool begin(Machine &m) {
  lua_State *L = neap_state(m.vm);
  int n = 0;
  lua_settop(L, 0);
  lua_getglobal(L, "slow");
  lua_pushinteger(L, 7);
  if (neap_begin(L, 1, "slow", &n) != NEAP_EPENDING) return false;
  neap_task_done(L, -1, [](lua_State *S, int status, int count, void *data) {
    if (status == LUA_OK && count == 1)
      *static_cast<int *>(data) = static_cast<int>(lua_tointeger(S, 1));
  }, &ended);
  return neap_wait(L, -1, &n) == LUA_OK;
}

struct Sum {
  int n, result;
};

const neap_Work sum_work = {
    "sum",
    [](void *job) {
      for (int i = 1; i <= static_cast<Sum *>(job)->n; i++)
        static_cast<Sum *>(job)->result += i;
    },
    [](lua_State *L, void *job) {
      lua_pushinteger(L, static_cast<Sum *>(job)->result);
      return 1;
    },
    nullptr, nullptr};

// sum(n): on a worker thread
int sum(lua_State *L) {
  int n = static_cast<int>(lua_tointeger(L, 1));
  Sum *job = static_cast<Sum *>(neap_work_new(L, sizeof(Sum), &sum_work));
  job->n = n;
  return neap_work_await(L, job);
}

// ask(): what another thread answers
int ask(lua_State *L) {
  neap_Token *token = neap_token_new(L, nullptr, nullptr);
  std::thread([token] {
    neap_Value answer = neap_string("an answer");
    neap_token_resolve(token, &answer, 1);
  }).detach();
  return neap_token_await(L, token);
}

bool awaits(Machine &m) {
  const neap_Async functions[] = {
      {"sum", sum}, {"ask", ask}, {nullptr, nullptr}};
  lua_State *L = neap_state(m.vm);
  lua_settop(L, 0);
  lua_pushglobaltable(L);
  neap_setasync(L, functions);
  neap_Events *events = neap_events_new(L, 2);
  lua_setglobal(L, "events");
  neap_Value event = neap_number(0.5);
  if (neap_events_push(events, &event, 1) != 0) return false;
  neap_events_free(events);
  return neap_dostring(m.vm, "for x in events:items() do assert(x == 0.5) end\n"
                             "assert(await sum(4) == 10)\n"
                             "assert(await ask() == 'an answer')",
                       "=awaits") == LUA_OK;
}

// Another thread calls the script, while this one drives the machine.
bool called(Machine &m) {
  bool over = false;
  lua_Integer result = 0;
  std::thread other([&] {
    neap_Value x = neap_integer(21);
    int n = 0;
    neap_Call *call = neap_call_start(m.vm, "twice", &x, 1);
    if (neap_call_wait(call, -1) == LUA_OK)
      result = neap_call_values(call, &n)[0].as.integer;
    neap_call_free(call);
    neap_submit(m.vm, [](lua_State *, void *data) {
      *static_cast<bool *>(data) = true;
    }, &over);
  });
  while (!over) neap_poll(m.vm, -1);
  other.join();
  return result == 42;
}

#ifdef __cpp_exceptions
bool throws(Machine &m) {
  try {
    std::string error;
    m.call("fails", 1, error);
    if (!error.empty()) throw std::runtime_error(error);
  } catch (const std::exception &e) {
    return std::strcmp(e.what(), "no bread") == 0;
  }
  return false;
}
#else
bool throws(Machine &m) {
  std::string error;
  m.call("fails", 1, error);
  return error == "no bread";
}
#endif

bool run() {
  std::string error;
  Machine m;
  if (neap_dostring(m.vm, text, "=text") != LUA_OK) return false;
  if (m.output != "good morning\n") return false;
  if (m.call("twice", 20, error) + m.call("slow", 2, error) != 42) return false;
  return error.empty() && begin(m) && throws(m) && awaits(m) && called(m);
}

}  // namespace

int main() {
  if (!run() || ended != 7) return 1;
  std::puts("42 from a task");
  return 0;
}
