#!/bin/sh
# check.sh - runs the checks named, each a file of scripts/check/.
#
#   B=build CC=cc LUA=lua5.4 MAKE=make sh scripts/check.sh doors words ...
#
# A check prints what is wrong and fails, or prints nothing. Here each gets
# its line, `doors: ok` or `doors: failed`, and all are run.
set -u
: "${B:=build}" "${CC:=cc}" "${LUA:=lua5.4}" "${MAKE:=make}"
export B CC LUA MAKE

failed=
for name in "$@"; do
  start=$(date +%s)
  if sh "scripts/check/$name.sh"; then
    word=ok
  else
    word=failed failed="$failed $name"
  fi
  took=$(($(date +%s) - start))
  [ $took -lt 5 ] || echo "$name took $took seconds"
  echo "$name: $word"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
