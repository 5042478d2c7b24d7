#!/usr/bin/env bash
# agents.sh [--if-reachable] [NAME ...]: installs the pinned versions of coding agents below build/NAME, for the behaviour
# tests that drive them; default: all. They are not among the tests' packages because each holds a binary of some hundred MB.
# A test is skipped where its agent is missing. --if-reachable: a registry that does not answer is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A packages=([claude-code]=@anthropic-ai/claude-code@2.1.332 [codex]=@openai/codex@0.171.0
    [gemini-cli]=@google/gemini-cli@0.61.0)
declare -A commands=([claude-code]=claude [codex]=codex [gemini-cli]=gemini)
declare -A options=([gemini-cli]="--ignore-scripts --omit=optional") # it needs nothing that would be compiled

is_optional=
[ "${1:-}" != --if-reachable ] || { is_optional=1; shift; }
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(claude-code codex gemini-cli)

add() { # NAME PACKAGE
    local dir=build/$1
    mkdir -p "$dir"
    [ -e "$dir/package.json" ] || echo '{"private": true}' >"$dir/package.json"
    npm install --prefix "$dir" --no-audit --no-fund --silent --fetch-retries=1 ${options[$1]:-} "$2" || return 1
    HOME=$PWD/$dir "$dir/node_modules/.bin/${commands[$1]}" --version || return 1 # it may write into its home
    echo "$2" >"$dir/.installed"
}

for name in "${names[@]}"; do
    package=${packages[$name]:-}
    [ -n "$package" ] || { echo "agents: there is no '$name' (${!packages[*]})" >&2; exit 2; }
    [ "$(cat "build/$name/.installed" 2>/dev/null)" != "$package" ] || continue
    add "$name" "$package" && continue
    [ -n "$is_optional" ] || exit 1
    echo "agents: $package cannot be had here; its test will be skipped" >&2
done
