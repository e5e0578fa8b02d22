# exports.sh - libneap.so exports what neap.h promises, and nothing else.
set -u
$MAKE -s -j2 B="$B" all || exit 1
status=0
exported=$(nm -D --defined-only "$B/libneap.so" | awk '{print $NF}' | sort)
promised=$(sed -n 's/^NEAP_API.*[ *]\(neap_[a-z_]*\)(.*/\1/p' \
  vm/include/neap.h | sort)

for name in $exported; do
  case $name in
    luaopen_neap*) ;;
    *) echo "$promised" | grep -qx "$name" ||
      { echo "exported but not in neap.h: $name"; status=1; } ;;
  esac
done
for name in $promised; do
  echo "$exported" | grep -qx "$name" ||
    { echo "in neap.h but not exported: $name"; status=1; }
done

# The module for lua itself has one door.
exported=$(nm -D --defined-only "$B/neap.so" | awk '{print $NF}')
[ "$exported" = luaopen_neap ] ||
  { echo "neap.so exports:" $exported; status=1; }

# Lua's C modules find Lua itself in the interpreter, and ours the door.
inside=$(nm -D --defined-only "$B/neap" | awk '{print $NF}' | sort)
for name in $promised lua_callk luaL_openlibs luaL_buffinit; do
  echo "$inside" | grep -qx "$name" ||
    { echo "not exported by the interpreter: $name"; status=1; }
done
if echo "$inside" | grep '^np_'; then
  echo "exported by the interpreter, though only ours"
  status=1
fi
exit $status
