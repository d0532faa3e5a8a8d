#!/usr/bin/env bash
# Fails when AFTER breaks programs that use BEFORE, unless CHANGES announces it: api-check.sh BEFORE AFTER [CHANGES]
set -euo pipefail
before=$(realpath "$1") after=$(realpath "$2") root=$(cd "$(dirname "$0")/.." && pwd)
changes=$(realpath "${3:-$root/api/CHANGES.md}")
cd "$root"
if ! "${GO:-go}" tool oasdiff breaking "$before" "$after" --err-ignore "$changes" --fail-on ERR; then
  echo "The API would break. Keep what is used, or announce it in api/CHANGES.md: a line with the method, the path and the words above." >&2
  exit 1
fi
