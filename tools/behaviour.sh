#!/usr/bin/env bash
# behaviour.sh BUILD_DIR [NAME]: the behaviour tests against the binaries of a build; NAME picks files by part of their name.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 name=${2:-}

export LLM_GATEWAY_BIN=$PWD/$build/src/app/llm-gateway PROVIDER_SIM_BIN=$PWD/$build/sim/provider-sim
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1:detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

cd tests/behaviour
stamp=node_modules/.installed
if [ ! -e "$stamp" ] || [ package-lock.json -nt "$stamp" ]; then
    npm ci --no-audit --no-fund --silent
    touch "$stamp"
fi
files=$(ls ./*"$name"*.test.mjs)
# One file at a time in the sanitizer builds: they are slow, and two cores are all there is.
# shellcheck disable=SC2086
exec node --test --test-reporter=spec --test-concurrency=2 $files
