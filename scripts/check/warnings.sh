# warnings.sh - gcc and clang find nothing to say about any file.
set -u
status=0

# build NAME COMPILER FLAGS: only what they say is shown.
build() {
  command -v "$2" >/dev/null || { echo "no $2: left out"; return 0; }
  $MAKE -s -j2 B="$B/$1" CC="$2" SAN= CFLAGS="$3 -Werror" all tests
}

build gcc gcc -O3 || status=1
build clang clang -O1 || status=1
exit $status
