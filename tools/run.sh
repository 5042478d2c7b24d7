#!/usr/bin/env bash
# `make run`: the gateway on 127.0.0.1:8000 with its data in ./var. When no provider is configured, the simulator plays
# one, so that the first request works without any key of a provider.
set -euo pipefail
cd "$(dirname "$0")/.."

export HOST=${HOST:-127.0.0.1} PORT=${PORT:-8000} DATA_DIR=${DATA_DIR:-./var}
sim_pid=

configured() { # NAME: set in the environment or in .env
    [ -n "${!1:-}" ] || { [ -f .env ] && grep -Eq "^(export )?$1=.+" .env; }
}

stop() {
    [ -z "$sim_pid" ] || kill "$sim_pid" 2>/dev/null || true
}
trap stop EXIT

if ! configured OPENAI_API_KEY && ! configured LOCAL_BASE_URL && [ ! -f gateway.yaml ]; then
    exec 3< <(exec build/provider-sim --port 0)
    sim_pid=$!
    read -r line <&3
    sim_port=$(printf '%s' "$line" | grep -oE '[0-9]{4,5}' | head -n 1)
    export LOCAL_BASE_URL="http://127.0.0.1:$sim_port/v1"
    echo "No provider is configured: the provider simulator plays one, as \`local\` ($LOCAL_BASE_URL)."
    echo "Set OPENAI_API_KEY or LOCAL_BASE_URL in .env for a real one."
    echo
fi

args=()
[ -f gateway.yaml ] && args=(--config gateway.yaml)

if [ ! -e "$DATA_DIR/llm-gateway.db" ]; then
    key=$(build/llm-gateway tenant create demo --json | sed -n 's/.*"api_key": *"\([^"]*\)".*/\1/p')
    echo "A tenant \`demo\` was made. Its key is shown this once. Try:"
    echo
    echo "  curl http://$HOST:$PORT/v1/chat/completions -H 'Authorization: Bearer $key' -H 'Content-Type: application/json' -d '{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'"
    echo
else
    echo "Keys were shown when they were made; make another with: build/llm-gateway tenant create NAME"
    echo
fi

build/llm-gateway serve "${args[@]}" &
gateway_pid=$!
trap 'kill -TERM "$gateway_pid" 2>/dev/null || true' INT TERM
status=0
wait "$gateway_pid" || status=$?
while kill -0 "$gateway_pid" 2>/dev/null; do wait "$gateway_pid" && status=0 || status=$?; done
exit "$status"
