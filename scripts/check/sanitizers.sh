# sanitizers.sh - the tests pass under ASan and UBSan.
export TEST_TIMEOUT="${TEST_TIMEOUT:-240}" TEST_LIMIT="${TEST_LIMIT:-60}"
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
$MAKE -s -j2 B="$B/asan" SAN=address,undefined all tests &&
$MAKE -s B="$B/asan" SAN=address,undefined test
