# threads.sh - what happens on several threads is clean under TSan.
set -u
build="$B/tsan"
$MAKE -s -j2 B="$build" SAN=thread all tests || exit 1
status=0
export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1"

# TSan knows only the usual layout of memory, which newer kernels vary.
plain=
setarch -R true 2>/dev/null && plain="setarch -R"

clean() {
  timeout 300 $plain "$@" >"$build/log" 2>&1 ||
    { echo "under TSan: $*:"; tail -60 "$build/log"; status=1; }
}

for test in host driving embed_work; do
  clean "$build/tests/vm/$test"
done
exit $status
