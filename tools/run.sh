#!/usr/bin/env bash
# `make run`: the gateway on 127.0.0.1:8000 with its data in ./var, unless the environment, .env or gateway.yaml say
# otherwise. Without a provider the simulator plays one, so that the first request works without any provider's key.
set -euo pipefail
cd "$(dirname "$0")/.."

gateway=build/llm-gateway
args=()
[ ! -f gateway.yaml ] || args=(--config gateway.yaml)
conf=$("$gateway" check --json "${args[@]}" 2>/dev/null) || exec "$gateway" check "${args[@]}" # says what is wrong

setting() { # NAME: its value as the gateway reads it; empty: unset
    printf '%s' "$conf" | sed -n "s/.*\"$1\":{\"value\":\"\([^\"]*\)\".*/\1/p"
}
is_default() { # NAME
    printf '%s' "$conf" | grep -Eq "\"$1\":\{[^}]*\"origin\":\"default\""
}

sim_pid=
trap '[ -z "$sim_pid" ] || kill "$sim_pid" 2>/dev/null || true' EXIT

! is_default HOST || export HOST=127.0.0.1
! is_default DRAIN_DELAY || export DRAIN_DELAY=0 # no load balancer is told: Ctrl-C need not wait for one
host=${HOST:-$(setting HOST)} port=$(setting PORT) data_dir=$(setting DATA_DIR)
case $host in
0.0.0.0) host=127.0.0.1 ;;
::) host="[::1]" ;;
*:*) host="[$host]" ;;
esac

if [[ $conf == *'"providers":[]'* ]]; then
    exec 3< <(exec build/provider-sim --port 0 --die-with-parent)
    sim_pid=$!
    read -r line <&3
    LOCAL_BASE_URL=$(grep -oE 'http://[^ ]+' <<<"$line")
    export LOCAL_BASE_URL
    ! is_default LOCAL_DIALECT || export LOCAL_DIALECT=openai,responses
    ! is_default LOCAL_MODELS || export LOCAL_MODELS=gpt-4o-mini,gpt-4o,text-embedding-3-small
    echo "No provider is configured: the provider simulator plays one, as \`local\` ($LOCAL_BASE_URL)."
    echo "For a real one set OPENAI_API_KEY or LOCAL_BASE_URL in .env (see .env.example)."
    echo
fi

if [ ! -e "$data_dir/llm-gateway.db" ]; then
    key=$("$gateway" tenant create demo --json "${args[@]}" | sed -n 's/.*"api_key": *"\([^"]*\)".*/\1/p')
    echo "A tenant \`demo\` was made. Its key is shown this once. Try:"
    echo
    echo "  curl http://$host:$port/v1/chat/completions -H 'Authorization: Bearer $key' -H 'Content-Type: application/json' -d '{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'"
else
    echo "Keys were shown when they were made. One more: $gateway tenant create NAME"
fi
echo
echo "Ctrl-C stops it."

"$gateway" serve "${args[@]}" 3<&- &
gateway_pid=$!
trap 'kill -TERM "$gateway_pid" 2>/dev/null || true' INT TERM # it ignores Ctrl-C itself, as a shell's background job
status=0
wait "$gateway_pid" || status=$?
while kill -0 "$gateway_pid" 2>/dev/null; do wait "$gateway_pid" && status=0 || status=$?; done
exit "$status"
