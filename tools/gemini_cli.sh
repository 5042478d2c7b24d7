#!/usr/bin/env bash
# gemini_cli.sh: installs the pinned version of Google's Gemini CLI below build/, for the behaviour test that drives it. It is
# not among the tests' packages because it is some 100 MB. The test is skipped where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/gemini-cli
cd build/gemini-cli
[ -e package.json ] || echo '{"private": true}' >package.json
npm install --no-audit --no-fund --silent --ignore-scripts --omit=optional @google/gemini-cli@0.61.0
node_modules/.bin/gemini --version
