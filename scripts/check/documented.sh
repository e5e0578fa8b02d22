# documented.sh - every public name is documented.
#
# In neap.h a function has a comment right above it, or above the group of
# declarations it stands in. Every name that a script finds in a module has a
# documentation comment, and its page in doc/modules/ has these as they are in
# the sources. Links between pages lead somewhere.
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

for room in stdlib/*/; do
  page=$(basename "$room").md
  [ ! -f "$B/doc/$page" ] || cmp -s "$B/doc/$page" "doc/modules/$page" ||
    { echo "doc/modules/$page is stale: run make docs"; status=1; }
done

"$B/neap" scripts/check/documented.lua stdlib/*/ || status=1

for page in README.md doc/*.md doc/modules/*.md; do
  [ -f "$page" ] || continue
  # In code between backticks there are no links.
  for link in $(sed 's/`[^`]*`//g' "$page" | grep -oE '\]\([^)# ]+' |
    cut -c3-); do
    case $link in
      *:*) ;;
      *) [ -e "$(dirname "$page")/$link" ] ||
        { echo "$page: nothing at $link"; status=1; } ;;
    esac
  done
done
exit $status
