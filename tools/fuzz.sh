#!/usr/bin/env bash
# fuzz.sh BUILD_DIR SECONDS [NAME]: runs each fuzz target for so long, beginning with its seeds in tests/fuzz/corpus/<name>
# and with the words of tests/fuzz/dict/<name>.dict. What it finds on the way is kept in BUILD_DIR/corpus for the next run.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 seconds=$2 name=${3:-}
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1:detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

found=0
for source in tests/fuzz/fuzz_*"$name"*.c; do
    [ -f "$source" ] || continue
    target=$(basename "$source" .c)
    part=${target#fuzz_}
    corpus=$build/corpus/$part
    mkdir -p "$corpus"
    extra=()
    [ -d "tests/fuzz/corpus/$part" ] && extra+=("tests/fuzz/corpus/$part")
    [ -f "tests/fuzz/dict/$part.dict" ] && extra+=("-dict=tests/fuzz/dict/$part.dict")
    echo "fuzz: $part for ${seconds}s"
    if ! "$build/tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/" "$corpus" "${extra[@]}" >"$build/$part.log" 2>&1; then
        tail -n 60 "$build/$part.log"
        echo "fuzz: $part failed; the input is in $build"
        exit 1
    fi
    grep -E '^stat::(number_of_executed_units|new_units_added)' "$build/$part.log"
    found=$((found + 1))
done
[ "$found" != 0 ] || { echo "fuzz: no target matches '$name'" >&2; exit 1; }
echo "fuzz: $found targets, nothing found"
