# collector.sh - the tests pass with a collector that never rests.
export TEST_TIMEOUT="${TEST_TIMEOUT:-240}" TEST_LIMIT="${TEST_LIMIT:-60}"
NEAP_TEST_GC=1 $MAKE -s B="$B" test
