# many.sh - ten thousand connections, reads and files at once.
export TEST_TIMEOUT="${TEST_TIMEOUT:-240}" TEST_LIMIT="${TEST_LIMIT:-60}"
ulimit -n "$(ulimit -H -n)"
MANY=10000 $MAKE -s B="$B" test T=soak/many
