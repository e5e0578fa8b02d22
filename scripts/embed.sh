#!/bin/sh
# embed.sh - writes the table of modules, modules.c, to stdout.
#
#   sh scripts/embed.sh stdlib/asyncio stdlib/net ... doc/language.md ...
#
# stdlib/DIR/DIR.lua becomes neap.DIR and stdlib/DIR/X.lua neap.DIR.X, both
# as source. stdlib/DIR/DIR.c opens neap.DIR.core, or neap.DIR itself if
# there is no DIR.lua. Pages become neap_pages[].
set -eu

pages= rooms=
for name in "$@"; do
  case $name in
    *.md) pages="$pages $name" ;;
    *) rooms="$rooms $name" ;;
  esac
done

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

echo "/* Made by scripts/embed.sh out of stdlib/ and doc/. */"
echo "#include <neap.h>"
for room in $rooms; do
  for file in "$room"/*.lua; do
    [ -f "$file" ] || continue
    printf '\nstatic const char %s[] =\n' "$(source_of "$file")"
    literal "$file"
    echo "  ;"
  done
  if [ -f "$room/$(basename "$room").c" ]; then
    printf '\nint luaopen_%s(lua_State *L);\n' "$(symbol "$(c_name "$room")")"
  fi
done

printf '\nconst neap_Module neap_modules[] = {\n'
for room in $rooms; do
  for file in "$room"/*.lua; do
    [ -f "$file" ] || continue
    name=$(lua_name "$file") source=$(source_of "$file")
    echo "  {\"$name\", \"$file\", $source, sizeof $source - 1, NULL},"
  done
  if [ -f "$room/$(basename "$room").c" ]; then
    name=$(c_name "$room")
    echo "  {\"$name\", NULL, NULL, 0, luaopen_$(symbol "$name")},"
  fi
done
echo "  {NULL, NULL, NULL, 0, NULL}"
echo "};"

printf '\nconst neap_Page neap_pages[] = {\n'
for page in $pages; do
  echo "  {\"$(basename "$page" .md)\","
  literal "$page"
  echo "  },"
done
echo "  {NULL, NULL}"
echo "};"
