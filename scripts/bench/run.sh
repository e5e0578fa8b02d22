#!/bin/sh
# run.sh - measures neap against what plain C and Lua reach on the same
# libraries in the same run, and against the peers that are installed. Builds
# the limit programs, then lets run.lua do the rest.
#
#   NEAP=build/neap B=build CC=cc ROUNDS=5 PEERS=2 ONLY=switch,echo run.sh
#
# All are optional. PEERS is the number of rounds in which the peers take part;
# ONLY names groups of rows (run.lua lists them).

here=$(dirname "$0")
B=${B:-build}
export B NEAP="${NEAP:-$B/neap}" BENCH="$here"

missing() {
  echo "bench: $1 is needed and not found" >&2
  exit 0
}

command -v lua5.4 >/dev/null || missing lua5.4
pkg-config --exists lua5.4 libuv || missing "pkg-config with lua5.4 and libuv"
[ -x "$NEAP" ] || echo "bench: there is no $NEAP yet: limits and peers only"

mkdir -p "$B/bench"
rm -rf "$B/bench/data"

# One that serves or speaks TLS needs OpenSSL, and a certificate.
CERT=
if pkg-config --exists openssl && command -v openssl >/dev/null; then
  CERT=$B/bench/cert.pem
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -days 30 -subj /CN=localhost -keyout "$CERT.key" -out "$CERT" \
    >/dev/null 2>&1 && cat "$CERT.key" >>"$CERT" || CERT=
fi
export CERT

for source in "$here"/limit/*.c; do
  out=$B/bench/$(basename "$source" .c)
  needs="lua5.4 libuv"
  case $source in
    */tls_*) [ -n "$CERT" ] || continue; needs="libuv openssl" ;;
  esac
  stale=
  for part in "$source" "$here"/limit/*.h; do
    [ "$out" -nt "$part" ] || stale=1
  done
  [ -n "$stale" ] || continue
  # shellcheck disable=SC2046,SC2086 # the flags are words
  ${CC:-cc} -std=gnu11 -O2 -Wall -Wextra $(pkg-config --cflags $needs) \
    "$source" -o "$out" $(pkg-config --libs $needs) || exit 0
done

# Hosts, which link libneap.
needs="lua5.4 libuv"
for need in $(cat "$here"/../../stdlib/*/needs); do
  pkg-config --exists "$need" && needs="$needs $need"
done
for source in "$here"/neap/*.c; do
  out=$B/bench/neap_$(basename "$source" .c)
  [ -f "$B/libneap.a" ] || break
  [ "$out" -nt "$source" ] && [ "$out" -nt "$B/libneap.a" ] && continue
  # shellcheck disable=SC2046,SC2086 # the flags are words
  ${CC:-cc} -std=gnu11 -O2 -Wall -Wextra -I"$here/../../vm/include" \
    $(pkg-config --cflags lua5.4 libuv) "$source" "$B/libneap.a" -o "$out" \
    -Wl,--as-needed $(pkg-config --libs $needs) -lm -ldl || exit 0
done

[ -t 2 ] && export PROGRESS=1
lua5.4 "$here/run.lua" || echo "bench: no table this time" >&2
exit 0
