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

# lua itself finds the module.
if command -v lua5.4 >/dev/null; then
  [ "$(LUA_CPATH="$dir/usr/lib/lua/5.4/?.so" lua5.4 -e \
    'require "neap" print(asyncio.run(asyncio.sleep(0, 42)))')" = 42 ] ||
    bad "lua5.4 does not load neap.so"
fi

# A host, linked with what pkg-config says: shared, then static.
export PKG_CONFIG_PATH="$dir/usr/lib/pkgconfig"
cp scripts/check/host.c "$dir/host.c"
host() {
  cd "$dir" || exit 1
  # The flags are words to split.
  $CC -Wall -Wextra -Werror -o host host.c $(pkg-config --cflags neap) "$@" ||
    bad "a host does not build: $*"
  [ "$(LD_LIBRARY_PATH=$dir/usr/lib ./host)" = "42 from a task" ] ||
    bad "a host does not run: $*"
  cd "$here" || exit 1
}
host $(pkg-config --libs neap)
readelf -d "$dir/host" | grep -q 'NEEDED.*libneap\.so\.0' ||
  bad "the shared host does not use libneap.so.0"
rm -f "$dir"/usr/lib/libneap.so*
host $(pkg-config --static --libs neap)

$MAKE -s B="$B" install PREFIX="$dir/usr" DESTDIR= >/dev/null
$MAKE -s B="$B" uninstall PREFIX="$dir/usr" DESTDIR= >/dev/null
left=$(find "$dir/usr" -not -type d)
[ -z "$left" ] || bad "left by uninstall: $left"

$MAKE -s B="$B" install PREFIX=/usr DESTDIR="$dir/stage" >/dev/null
[ -x "$dir/stage/usr/bin/neap" ] || bad "DESTDIR is not kept"
grep -q '^prefix=/usr$' "$dir/stage/usr/lib/pkgconfig/neap.pc" ||
  bad "neap.pc has DESTDIR in it"
exit $status
