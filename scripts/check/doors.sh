# doors.sh - every room includes and names only what it may.
#
#   lib/     no Lua, no libuv, no input or output
#   vm/      no protocol and no module by name (but asyncio, which is a
#            global table like string)
#   main.c   neap.h alone, as any embedder; modules by name
#   stdlib/  neap.h and lib/, not the inside of vm/, not another module's C
set -u
status=0

bad() { echo "$*"; status=1; }

# The names that the files include, as `file: name`.
includes() {
  for file in "$@"; do
    [ -f "$file" ] || continue
    sed -n 's/^ *# *include *[<"]\([^>"]*\).*/\1/p' "$file" |
      sed "s|^|$file: |"
  done
}

# deny WHY PATTERN FILES...: none of the files includes such a name.
deny() {
  why=$1 pattern=$2
  shift 2
  found=$(includes "$@" | grep -E ": ($pattern)")
  [ -z "$found" ] || bad "$why:
$found"
}

# The files without their comments.
code() {
  for file in "$@"; do
    [ -f "$file" ] || continue
    gcc -fpreprocessed -dD -E -P "$file" 2>/dev/null | sed "s|^|$file: |"
  done
}

# As patterns: the headers inside vm/, and the modules. One of them has the name
# of one of C's, which is all that the others find under it.
inside=$(cd vm && ls ./*.h | grep -v -e main_ -e '/limits\.h$' |
  sed 's|^\./||; s/\./\\./' | paste -sd '|')
modules=$(cd stdlib && ls -d */ 2>/dev/null | tr -d / | grep -v '^asyncio$' |
  paste -sd '|')

deny "lib/ may not know Lua, libuv or neap" \
  '(lua|lauxlib|lualib)|uv|neap|\.\./' lib/*.[ch]
deny "lib/ does no input or output" \
  'unistd\.h|fcntl\.h|sys/(socket|stat|ioctl|uio)|netdb|netinet|poll' \
  lib/*.[ch]
deny "main.c may use neap.h alone" '\.\./' vm/main*.c
found=$(includes vm/main*.c | grep -E ": (${inside:-none})$")
[ -z "$found" ] || bad "main.c may use neap.h alone: $found"
for part in lib/*.h; do
  deny "main.c may use neap.h alone" "$(basename "$part")$" vm/main*.c
done

for room in stdlib/*/; do
  deny "stdlib/ may not see the inside of vm/" \
    "(.*/)?vm/|(${inside:-none})$" "$room"*.[ch]
  deny "a module may not see another's C" '\.\./' "$room"*.[ch]
done
# The same for Lua halves: NAME.core belongs to NAME.
for file in stdlib/*/*.lua; do
  [ -f "$file" ] || continue
  own=$(basename "$(dirname "$file")")
  found=$(grep -nE 'neap\.[a-z_]+\.core' "$file" | grep -v "neap\.$own\.core")
  [ -z "$found" ] || bad "$file: another module's C half: $found"
done

word='https?|tls|ssl|websocket|tcp|udp|dns|redis|sql|sqlite|postgres'
found=$(code vm/*.[ch] vm/include/neap.h |
  grep -iE ": .*(^|[^a-z])($word)([^a-z]|$)")
[ -z "$found" ] || bad "vm/ may not name a protocol:
$found"
if [ -n "$modules" ]; then
  found=$(code vm/*.[ch] | grep -v '^vm/main\.c:' |
    grep -E "neap[._]($modules)([^a-z_]|$)")
  [ -z "$found" ] || bad "vm/ may not name a module:
$found"
fi
exit $status
