#!/usr/bin/env bash
# Runs every fuzz target of the tree for the given time each (go runs one at a time).
set -euo pipefail
time=${1:?usage: fuzz.sh TIME}
cd "$(dirname "$0")/.."
n=0
while IFS=: read -r file target; do
  echo "fuzz $target in $(dirname "$file")"
  CGO_ENABLED=0 go test "./$(dirname "$file")" -run '^$' -fuzz "^${target}\$" -fuzztime "$time" -parallel 2 >"${TMPDIR:-/tmp}/fuzz.log" 2>&1 || { cat "${TMPDIR:-/tmp}/fuzz.log"; exit 1; }
  n=$((n + 1))
done < <(git grep -hoE '' -- /dev/null 2>/dev/null; git grep -E -o 'func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed -E 's/func //')
echo "$n fuzz targets, ${time} each"
