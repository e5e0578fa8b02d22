# headers.sh - each header compiles alone, and twice; neap.h also as C++.
set -u
status=0
warn="-Wall -Wextra -Wpedantic -Wshadow -Werror"
door="-Ivm/include $(pkg-config --cflags "$LUA" libuv)"

# alone HEADER COMPILER FLAGS...: the flags of a room are words to split.
alone() {
  header=$1 compiler=$2
  shift 2
  command -v "$compiler" >/dev/null || return 0
  printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
    "$compiler" $warn "$@" -U_GNU_SOURCE -D_GNU_SOURCE= -I. \
      -fsyntax-only - || { echo "$header: not alone with $compiler"; status=1; }
}

for header in lib/*.h vm/*.h vm/include/*.h stdlib/*/*.h; do
  [ -f "$header" ] || continue
  case $header in
    lib/*) may=-Ilib ;;
    *) may="-Ilib $door" ;;
  esac
  for compiler in gcc clang; do
    alone "$header" $compiler -x c -std=c11 $may -Wstrict-prototypes
  done
done
for compiler in g++ clang++; do
  alone vm/include/neap.h $compiler -x c++ -std=c++11 $door
done
exit $status
