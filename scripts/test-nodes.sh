#!/usr/bin/env bash
# Runs the whole test command under other versions of Node, taken from the npm package "node".
#
#   npm run test:nodes                       22, 24 and 26
#   npm run test:nodes -- 24                 one of them
set -euo pipefail
cd "$(dirname "$0")/.."

versions=("$@")
[ ${#versions[@]} -gt 0 ] || versions=(22 24 26)

npm run build
for version in "${versions[@]}"; do
  # The version that is asked for comes first in PATH, so what the tests start runs on it, too.
  echo "── Node $(npm exec --yes --package="node@$version" -- node --version)"
  npm exec --yes --package="node@$version" -- node --import tsx scripts/test.ts
done
