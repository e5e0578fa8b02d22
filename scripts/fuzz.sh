#!/bin/sh
# fuzz.sh - builds the programs of tests/fuzz/ and runs each for a while.
#
#   B=build MAKE=make sh scripts/fuzz.sh SECONDS [PART-OF-A-NAME]
#
# What they found worth keeping stays in $B/fuzz/corpus/NAME; inputs to begin
# with are in tests/fuzz/NAME/, if there are any.
set -u
: "${B:=build}" "${MAKE:=make}"
seconds=$1 filter=${2-}
build="$B/fuzz"
$MAKE -s -j2 B="$build" CC=clang CFLAGS="-O1 -g" \
  SAN=fuzzer-no-link,address,undefined fuzzers || exit 1
status=0

for source in tests/fuzz/*"$filter"*.c; do
  [ -f "$source" ] || continue
  name=$(basename "$source" .c)
  corpus="$build/corpus/$name" seeds="tests/fuzz/$name"
  mkdir -p "$corpus"
  [ -d "$seeds" ] || seeds=
  # $seeds is a word or nothing.
  if "$build/tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 \
      -max_len=4096 -rss_limit_mb=2048 -artifact_prefix="$build/$name-" \
      "$corpus" $seeds >"$build/$name.log" 2>&1; then
    echo "$name: $(grep -E '^Done' "$build/$name.log")"
  else
    tail -40 "$build/$name.log"
    echo "$name: a crash, see $build/$name-*"
    status=1
  fi
done
exit $status
