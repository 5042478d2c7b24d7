#!/usr/bin/env bash
# claude_code.sh: installs the pinned version of Claude Code below build/, for the behaviour test that drives it. It is not
# among the tests' packages because it holds a binary of some 240 MB. The test is skipped where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/claude-code
cd build/claude-code
[ -e package.json ] || echo '{"private": true}' >package.json
npm install --no-audit --no-fund --silent @anthropic-ai/claude-code@2.1.332
node_modules/.bin/claude --version
