# fuzz.sh - a short run of every fuzzer.
command -v clang >/dev/null || { echo "no clang: left out"; exit 0; }
sh scripts/fuzz.sh "${FUZZ_SECONDS:-10}"
