# threads.sh - what happens on several threads is clean under TSan.
set -u
build="$B/tsan"
$MAKE -s -j2 B="$build" SAN=thread all tests || exit 1
status=0

# libuv is not built with TSan, which so does not see that a descriptor was
# closed before another thread is given the same number.
cat >"$build/suppressions" <<END
race:__interceptor_epoll_create1
race:__interceptor_eventfd
race:__interceptor_pipe2
race:__interceptor_close
END
export TSAN_OPTIONS="halt_on_error=1 suppressions=$build/suppressions"

# TSan knows only the usual layout of memory, which newer kernels vary.
plain=
setarch -R true 2>/dev/null && plain="setarch -R"

for test in host driving tokens threads embed_work embed_pool embed_submit \
    embed_server embed_poll_loop embed_game; do
  timeout 120 $plain "$build/tests/vm/$test" >"$build/log" 2>&1 ||
    { echo "$test under TSan:"; tail -60 "$build/log"; status=1; }
done
exit $status
