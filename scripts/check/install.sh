# install.sh - what is installed is complete, works, and goes away again.
set -u
$MAKE -s -j2 B="$B" all || exit 1
here=$(pwd) dir=$(mktemp -d) status=0
trap 'rm -rf "$dir"' EXIT
bad() { echo "$*"; status=1; }

$MAKE -s B="$B" install PREFIX="$dir/usr" DESTDIR= >/dev/null || exit 1
for file in bin/neap lib/libneap.a lib/libneap.so lib/libneap.so.0 \
    include/neap.h lib/pkgconfig/neap.pc share/man/man1/neap.1 \
    share/doc/neap/README.md lib/lua/5.4/neap.so; do
  [ -e "$dir/usr/$file" ] || bad "not installed: $file"
done
[ "$("$dir/usr/bin/neap" -e 'print(await asyncio.sleep(0, 42))')" = 42 ] ||
  bad "the installed neap does not run"

# Links of the pages lead to what is there.
pages=$dir/usr/share/doc/neap
for page in "$pages"/*.md "$pages"/modules/*.md; do
  for link in $(grep -o ']([^)#]*' "$page" | cut -c3- | grep -v ://); do
    [ -e "${page%/*}/$link" ] ||
      bad "no $link, to which ${page#"$pages/"} leads"
  done
done

# lua itself finds the module.
if command -v lua5.4 >/dev/null; then
  [ "$(LUA_CPATH="$dir/usr/lib/lua/5.4/?.so" lua5.4 -e \
    'require "neap" print(asyncio.run(asyncio.sleep(0, 42)))')" = 42 ] ||
    bad "lua5.4 does not load neap.so"
fi

# A host, linked with what pkg-config says: shared, then static.
export PKG_CONFIG_PATH="$dir/usr/lib/pkgconfig"
cp scripts/check/host.c scripts/check/host.cpp "$dir"
runs() {
  [ "$(LD_LIBRARY_PATH=$dir/usr/lib "$1")" = "42 from a task" ] ||
    bad "a host does not run: $*"
}
host() {
  cd "$dir" || exit 1
  # The flags are words to split.
  $CC -Wall -Wextra -Werror -o host host.c $(pkg-config --cflags neap) "$@" ||
    bad "a host does not build: $*"
  runs ./host "$@"
  cd "$here" || exit 1
}
host $(pkg-config --libs neap)
if command -v g++ >/dev/null; then
  for exceptions in -fexceptions -fno-exceptions; do
    g++ -std=c++11 -Wall -Wextra -Werror $exceptions -o "$dir/host++" \
      "$dir/host.cpp" $(pkg-config --cflags --libs neap) ||
      bad "a host in C++ does not build: $exceptions"
    runs "$dir/host++" $exceptions
  done
else
  echo "install: skipped C++, there is no g++"
fi

# The page's lines for CMake.
if command -v cmake >/dev/null; then
  mkdir -p "$dir/cmake"
  cp scripts/check/host.c "$dir/cmake/host.c"
  sed -n '/^```cmake$/,/^```$/p' doc/embedding.md | grep -v '^```' \
    > "$dir/cmake/CMakeLists.txt"
  { cmake -S "$dir/cmake" -B "$dir/cmake/build" &&
    cmake --build "$dir/cmake/build"; } >"$dir/cmake/log" 2>&1 ||
    { cat "$dir/cmake/log"; bad "the lines for CMake do not work"; }
  runs "$dir/cmake/build/host" cmake
else
  echo "install: skipped CMake, which is not there"
fi
readelf -d "$dir/host" | grep -q 'NEEDED.*libneap\.so\.0' ||
  bad "the shared host does not use libneap.so.0"
rm -f "$dir"/usr/lib/libneap.so*
host $(pkg-config --static --libs neap)

# One that names its modules is linked with no others.
all=$(wc -c < "$dir/host")
sed "s/return await/return require 'neap.fs' and await/" \
  scripts/check/host.c > "$dir/host.c"
grep -A 2 '^extern const neap_Module' doc/embedding.md >> "$dir/host.c"
host $(pkg-config --static --libs neap)
[ "$(wc -c < "$dir/host")" -lt $((all * 4 / 5)) ] ||
  bad "a host that wants one module has others"
nm "$dir/host" | grep -q luaopen_neap_fs_core || bad "the module is missing"
if nm "$dir/host" | grep -E 'luaopen_neap_(net|process|repl)'; then
  bad "a host has modules that it did not name"
fi

$MAKE -s B="$B" install PREFIX="$dir/usr" DESTDIR= >/dev/null
$MAKE -s B="$B" uninstall PREFIX="$dir/usr" DESTDIR= >/dev/null
left=$(find "$dir/usr" -not -type d)
[ -z "$left" ] || bad "left by uninstall: $left"

$MAKE -s B="$B" install PREFIX=/usr DESTDIR="$dir/stage" >/dev/null
[ -x "$dir/stage/usr/bin/neap" ] || bad "DESTDIR is not kept"
grep -q '^prefix=/usr$' "$dir/stage/usr/lib/pkgconfig/neap.pc" ||
  bad "neap.pc has DESTDIR in it"
exit $status
