#!/usr/bin/env bash
# Lists and installs what building, running and testing need, on Debian 12, Debian 13 and Ubuntu 24.04.
#
#   tools/deps.sh [run|test|check|bench|agents ...]     default: run test
#
# agents: the coding agents that behaviour tests drive, from npm where its registry answers (tools/agents.sh).
# Asks on a terminal, goes on without one; without root it prints the exact command and exits 2.
# Debian 12 lacks llhttp and yyjson: their Debian 13 packages need nothing newer than its libc, so that
# source is added from the system's own mirror, pinned so low that nothing else is taken from it.
set -euo pipefail

run_packages="gcc make cmake pkg-config python3 curl ca-certificates libssl-dev libsqlite3-dev libyaml-dev
    libllhttp-dev libyyjson-dev"
test_packages="libcmocka-dev sqlite3 openssl nodejs npm"
check_packages="clang-format clang-tidy cppcheck clang"
bench_packages="nginx-light haproxy strace"
node_min=20 # the behaviour tests' own: Node's test runner with concurrency, and the official package

borrowed="libllhttp-dev libllhttp9.2 libyyjson-dev libyyjson0"
list=/etc/apt/sources.list.d/llm-gateway-trixie.sources
pin=/etc/apt/preferences.d/llm-gateway-trixie

# clang's sanitizers and libFuzzer are a package named after its version; clang 14 to 18 and newer all have it.
clang_runtime() {
    local version
    version=$(clang -dumpversion 2>/dev/null | cut -d. -f1) || true
    [ -n "$version" ] || version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
    [ -z "$version" ] || echo "libclang-rt-$version-dev"
}

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

wanted() {
    local group
    for group in "$@"; do
        case "$group" in
        run) echo $run_packages ;;
        test) echo $test_packages ;;
        check) echo $check_packages "$(clang_runtime)" ;;
        bench) echo $bench_packages ;;
        agents) echo nodejs npm ;;
        *) echo "deps: unknown group '$group' (run, test, check, bench, agents)" >&2; exit 2 ;;
        esac
    done | tr ' ' '\n' | grep . | sort -u
}

missing() {
    local package
    for package in $(wanted "$@"); do
        case "$package" in # another source's package will do
        nodejs) command -v node >/dev/null && continue ;;
        npm) command -v npm >/dev/null && continue ;;
        nginx-light) command -v nginx >/dev/null && continue ;;
        esac
        installed "$package" || echo "$package"
    done
}

# Debian 12's and Ubuntu 24.04's own Node is 18. Building, running and `make unit` do not need any.
say_node_version() {
    local major
    case " ${groups[*]} " in *" test "*) ;; *) return 0 ;; esac
    major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/') || true
    [ "${major:-0}" -ge "$node_min" ] || {
        echo "deps: node here is version ${major:-none}; the behaviour tests (make test, make behaviour) need $node_min or newer." >&2
        echo "deps: install one from Node's own site; everything else works without." >&2
    }
}

# Once there is npm.
add_agents() {
    case " ${groups[*]} " in *" agents "*) "$(dirname "$0")/agents.sh" --if-reachable ;; esac
}

# The mirror this system already uses for its release's main component.
mirror() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
        awk '$2 == "bookworm" && $3 == "main" { print $1; exit }'
}

borrow() {
    [ -e "$list" ] && return
    local uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    uri=$(mirror)
    [ -n "$uri" ] || { echo "deps: no Debian mirror in this system's apt configuration" >&2; exit 1; }
    printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: %s\n' "$uri" "$keyring" >"$list"
    {
        printf 'Package: *\nPin: release n=trixie\nPin-Priority: -1\n\n'
        printf 'Package: %s\nPin: release n=trixie\nPin-Priority: 500\n' "$borrowed"
    } >"$pin"
    apt-get update -qq
}

groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(run test)
need=$(missing "${groups[@]}" | tr '\n' ' ')
if [ -z "${need// /}" ]; then
    say_node_version
    add_agents
    exit 0
fi

echo "deps: missing packages: $need"
if [ "$(id -u)" -ne 0 ]; then
    echo "deps: not root. Run this, then try again:"
    echo "    sudo $0 ${groups[*]}"
    exit 2
fi
if [ -t 0 ] && [ -z "${CI:-}" ]; then
    read -r -p "deps: install them now? [Y/n] " answer
    case "$answer" in [nN]*) exit 2 ;; esac
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo "deps: apt-get update failed; trying with the lists there are" >&2
# shellcheck disable=SC1091
. /etc/os-release
if [ "${VERSION_CODENAME:-}" = bookworm ]; then
    case " $need " in *" libllhttp-dev "* | *" libyyjson-dev "*) borrow ;; esac
fi
# clang's runtime could not be named before the lists were there; nginx-light is not everywhere.
need=$(missing "${groups[@]}" | tr '\n' ' ')
case " $need " in *" nginx-light "*)
    apt-cache show nginx-light >/dev/null 2>&1 || need=${need/nginx-light/nginx} ;;
esac
unknown=
for package in $need; do
    apt-cache show "$package" >/dev/null 2>&1 || unknown+=" $package"
done
if [ -n "$unknown" ]; then
    echo "deps: this system's package sources do not have:$unknown" >&2
    echo "deps: Debian 12 and 13 and Ubuntu 24.04 (with universe) are the systems this is made for." >&2
    exit 2
fi
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $need >/tmp/llm-gateway-deps.$$ 2>&1 || {
    tail -n 20 /tmp/llm-gateway-deps.$$ >&2
    exit 1
}
rm -f /tmp/llm-gateway-deps.$$
echo "deps: installed"
say_node_version
add_agents
