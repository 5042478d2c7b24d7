#!/usr/bin/env bash
# Lists and installs what building, running and testing need, on Debian 12, Debian 13 and Ubuntu 24.04.
#
#   tools/deps.sh [run|test|check|bench ...]     default: run test
#
# Asks on a terminal, goes on without one; without root it prints the exact command and exits 2.
# Debian 12 lacks llhttp and yyjson: their Debian 13 packages need nothing newer than its libc, so that
# source is added from the system's own mirror, pinned so low that nothing else is taken from it.
set -euo pipefail

run_packages="gcc make cmake pkg-config python3 curl ca-certificates libssl-dev libsqlite3-dev libyaml-dev
    libllhttp-dev libyyjson-dev"
test_packages="libcmocka-dev sqlite3 openssl nodejs"
check_packages="clang-format clang-tidy cppcheck clang libclang-rt-14-dev"
bench_packages="nginx-light haproxy strace"

borrowed="libllhttp-dev libllhttp9.2 libyyjson-dev libyyjson0"
list=/etc/apt/sources.list.d/llm-gateway-trixie.sources
pin=/etc/apt/preferences.d/llm-gateway-trixie

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

wanted() {
    local group package
    for group in "$@"; do
        case "$group" in
        run) echo $run_packages ;;
        test) echo $test_packages ;;
        check)
            for package in $check_packages; do # clang's runtime is named after its version
                apt-cache show "$package" >/dev/null 2>&1 && echo "$package"
            done ;;
        bench) echo $bench_packages ;;
        *) echo "deps: unknown group '$group' (run, test, check, bench)" >&2; exit 2 ;;
        esac
    done | tr ' ' '\n' | sort -u
}

missing() {
    local package
    for package in $(wanted "$@"); do
        [ "$package" = nodejs ] && command -v node >/dev/null && continue
        [ "$package" = nginx-light ] && command -v nginx >/dev/null && continue
        installed "$package" || echo "$package"
    done
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
[ -n "${need// /}" ] || exit 0

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
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $need >/tmp/llm-gateway-deps.$$ 2>&1 || {
    tail -n 20 /tmp/llm-gateway-deps.$$ >&2
    exit 1
}
rm -f /tmp/llm-gateway-deps.$$
echo "deps: installed"
