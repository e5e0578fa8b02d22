# words.sh - nothing is left for later, and no line is longer than 80.
set -u
status=0
list=$(find Makefile README.md .ci lib vm stdlib tests scripts doc -type f)

# No file name here has a space.
if grep -nwE 'TO[D]O|FIX[M]E' $list; then
  echo "words that postpone something"
  status=1
fi
# What a test prints may have any form, and a language test too.
code=$(echo "$list" | grep -E '\.(c|h|sh|lua)$|Makefile|\.ci/run' |
  grep -v '^tests/lang/')
if grep -nE '[[:space:]]$' $code | grep -v -e '-->'; then
  echo "spaces at the end of a line"
  status=1
fi
if LC_ALL=C.UTF-8 grep -nE '^.{81}' $code; then
  echo "lines longer than 80 columns"
  status=1
fi
exit $status
