#!/bin/sh
# embed.sh - writes the tables of modules to stdout, as C.
#
#   sh scripts/embed.sh stdlib/net             that of one room
#   sh scripts/embed.sh --all stdlib/asyncio stdlib/net ...
#                                              the table of these tables
#
# stdlib/DIR/DIR.lua becomes neap.DIR and stdlib/DIR/X.lua neap.DIR.X, both
# as source. stdlib/DIR/DIR.c opens neap.DIR.core, or neap.DIR itself if
# there is no DIR.lua. They are neap_module_DIR. A room is an object of its
# own, so that a host can be linked with some of them only.
#
#   sh scripts/embed.sh --pages doc/language.md ...
#                                              neap_pages[]
set -eu

# A text as one C string literal, a line of it to a line.
literal() {
  sed -e 's/[\\"?]/\\&/g' -e 's/	/\\t/g' -e 's/^/  "/' -e 's/$/\\n"/' "$1"
  echo '  ""'
}

# stdlib/net/net.lua is neap.net, and stdlib/net/udp.lua is neap.net.udp.
lua_name() {
  dir=$(basename "$(dirname "$1")") file=$(basename "$1" .lua)
  [ "$dir" = "$file" ] || dir="$dir.$file"
  echo "neap.$dir"
}

c_name() {
  dir=$(basename "$1")
  if [ -f "$1/$dir.lua" ]; then echo "neap.$dir.core"; else echo "neap.$dir"; fi
}

symbol() { echo "$1" | tr -c 'a-zA-Z0-9\n' _; }
source_of() { symbol "source_$(lua_name "$1")"; }

all() {
  for room in "$@"; do
    echo "extern const neap_Module neap_module_$(basename "$room")[];"
  done
  printf '\nconst neap_Module *const neap_modules[] = {\n'
  for room in "$@"; do echo "  neap_module_$(basename "$room"),"; done
  printf '  NULL\n};\n'
}

one() {
  for file in "$1"/*.lua; do
    [ -f "$file" ] || continue
    printf '\nstatic const char %s[] =\n' "$(source_of "$file")"
    literal "$file"
    echo "  ;"
  done
  name=$(basename "$1") core=
  if [ -f "$1/$name.c" ]; then
    core=$(c_name "$1")
    printf '\nint luaopen_%s(lua_State *L);\n' "$(symbol "$core")"
  fi
  printf '\nextern const neap_Module neap_module_%s[];\n' "$name"
  printf 'const neap_Module neap_module_%s[] = {\n' "$name"
  for file in "$1"/*.lua; do
    [ -f "$file" ] || continue
    source=$(source_of "$file")
    echo "  {\"$(lua_name "$file")\", \"$file\", $source,"
    echo "   sizeof $source - 1, NULL},"
  done
  if [ -n "$core" ]; then
    echo "  {\"$core\", NULL, NULL, 0, luaopen_$(symbol "$core")},"
  fi
  printf '  {NULL, NULL, NULL, 0, NULL}\n};\n'
}

pages() {
  printf '\nconst neap_Page neap_pages[] = {\n'
  for page in "$@"; do
    echo "  {\"$(basename "$page" .md)\","
    literal "$page"
    echo "  },"
  done
  printf '  {NULL, NULL}\n};\n'
}

echo "/* Made by scripts/embed.sh out of stdlib/ and doc/. */"
echo "#include <neap.h>"
case $1 in
  --all) shift; all "$@" ;;
  --pages) shift; pages "$@" ;;
  *) one "$1" ;;
esac
