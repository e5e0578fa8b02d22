# valgrind.sh - the programs of tests/ and one in Lua are clean in memory.
set -u
command -v valgrind >/dev/null || { echo "no valgrind: left out"; exit 0; }
build="$B/memcheck"
$MAKE -s -j2 B="$build" SAN= CFLAGS="-O1 -g" CPPFLAGS=-DNP_SLAB_MALLOC \
  all tests || exit 1
status=0

clean() {
  timeout 300 valgrind -q --error-exitcode=99 --leak-check=full \
    --errors-for-leak-kinds=definite,indirect "$@" >"$build/log" 2>&1 ||
    { echo "valgrind $*:"; tail -40 "$build/log"; status=1; }
}

export NEAP="$build/neap" VALGRIND=1
for test in "$build"/tests/lib/* "$build"/tests/vm/*; do
  case $test in
    *.o|*.d|*\*) ;;
    *) clean "$test" ;;
  esac
done
clean "$build/neap" scripts/demo.lua
exit $status
