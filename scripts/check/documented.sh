# documented.sh - every public name is documented.
#
# In neap.h a function has a comment right above it, or above the group of
# declarations it stands in. Each module has a page in doc/modules/ that
# mentions every name that a script finds in it. Links between pages lead
# somewhere.
set -u
$MAKE -s -j2 B="$B" all || exit 1
status=0

awk '
  /\*\/[ \t]*$/ { comment = !/^\/\* == /; next }
  /^NEAP_API/ && !comment {
    print FILENAME ":" FNR ": no comment: " $0
    bad = 1
  }
  /^[ \t]*$/ { comment = 0 }
  END { exit bad }
' vm/include/neap.h || status=1

"$B/neap" scripts/check/documented.lua stdlib/*/ || status=1

for page in README.md doc/*.md doc/modules/*.md; do
  [ -f "$page" ] || continue
  for link in $(grep -oE '\]\([^)# ]+' "$page" | cut -c3-); do
    case $link in
      *:*) ;;
      *) [ -e "$(dirname "$page")/$link" ] ||
        { echo "$page: nothing at $link"; status=1; } ;;
    esac
  done
done
exit $status
