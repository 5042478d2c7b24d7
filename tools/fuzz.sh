#!/usr/bin/env bash
# fuzz.sh BUILD_DIR SECONDS [NAME]: runs each fuzz target for so long, beginning with its corpus in tests/fuzz/corpus/<target>.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 seconds=$2 name=${3:-}

found=0
for target in "$build"/tests/fuzz/fuzz_*"$name"*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    found=1
    corpus=tests/fuzz/corpus/$(basename "$target")
    mkdir -p "$build/corpus/$(basename "$target")"
    seeds=()
    [ -d "$corpus" ] && seeds=("$corpus")
    echo "fuzz: $(basename "$target") for ${seconds}s"
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
        -artifact_prefix="$build/" "$build/corpus/$(basename "$target")" "${seeds[@]}" || exit 1
done
[ "$found" = 1 ] || { echo "fuzz: no target matches '$name'" >&2; exit 1; }
echo "fuzz: ok"
