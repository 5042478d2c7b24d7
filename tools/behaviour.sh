#!/usr/bin/env bash
# behaviour.sh BUILD_DIR [NAME|@LIST]: the behaviour tests against the binaries of a build. NAME picks files by part of
# their name, @LIST takes the files named in it, one a line.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 name=${2:-}

major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
if [ "${major:-0}" -lt 20 ]; then
    echo "behaviour: these tests need Node 20 or newer, and this machine has ${major:+version }${major:-none}." >&2
    echo "behaviour: this system's packages may be older; Node's own site has newer ones. \`make unit\` needs none." >&2
    exit 2
fi

export LLM_GATEWAY_BIN=$PWD/$build/src/app/llm-gateway PROVIDER_SIM_BIN=$PWD/$build/sim/provider-sim
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1:detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
case "$build" in *[at]san) export HARNESS_WAIT_MS=${HARNESS_WAIT_MS:-60000} HARNESS_PATIENCE=${HARNESS_PATIENCE:-6s} ;; esac

cd tests/behaviour
stamp=node_modules/.installed
if [ ! -e "$stamp" ] || [ package-lock.json -nt "$stamp" ]; then
    npm ci --no-audit --no-fund --silent
    touch "$stamp"
fi
case "$name" in
@*) mapfile -t files < <(sed -e 's/#.*//' -e '/^ *$/d' -e 's/$/.test.mjs/' "${name#@}") ;;
*) files=(*"$name"*.test.mjs) ;;
esac
for file in "${files[@]}"; do
    [ -f "$file" ] || { echo "behaviour: there is no $file" >&2; exit 1; }
done
exec node --test --test-reporter=spec --test-concurrency=2 "${files[@]}"
