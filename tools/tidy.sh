#!/usr/bin/env bash
# tidy.sh BUILD_DIR: clang-tidy (.clang-tidy) over src/, and cppcheck. The build directory has compile_commands.json.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1

cmake --build "$build" -j"$(nproc)" --target gw_route gw_admin >/dev/null # sources that the build makes
git ls-files 'src/*.c' | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet 2> >(grep -v 'warnings\? generated' >&2)
cppcheck --enable=warning,performance,portability --error-exitcode=1 --inline-suppr --quiet -j "$(nproc)" \
    --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --library=posix \
    --suppressions-list=tools/cppcheck.suppress -I src -D_GNU_SOURCE $(git ls-files 'src/*.c' 'sim/*.c')
echo "tidy: ok"
