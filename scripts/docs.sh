#!/usr/bin/env bash
# Writes the API reference to docs/api with TypeDoc, which needs an older TypeScript than the project is built with.
set -euo pipefail
cd "$(dirname "$0")/.."
npm exec --yes --package=typedoc@0.28.20 --package=typescript@6.0.3 -- typedoc "$@"
