#!/usr/bin/env bash
# Runs every fuzz target of the tree for the given time each, as 20s, or for the given number of inputs, as 2000x (go
# fuzzes one target at a time). Go ends a timed run with "context deadline exceeded" now and then, as if it had failed
# (golang/go#75804); counted runs have no deadline, so CI counts.
#   FUZZ_GUIDED=0  mutates the corpus without coverage to guide it: no instrumented build of every dependency,
#                  which takes many minutes; the short form that CI runs
set -euo pipefail
time=${1:?usage: fuzz.sh TIME|COUNTx}
cd "$(dirname "$0")/.."
log=$(mktemp)
bin=$(mktemp -d)
trap 'rm -rf "$log" "$bin"' EXIT
n=0
last=
while IFS=: read -r file target; do
  pkg=./$(dirname "$file")
  # One build a package, not one a target.
  if [ "$pkg" != "$last" ]; then
    if [ "${FUZZ_GUIDED:-1}" = 1 ]; then guided=(-fuzz=.); else guided=(); fi
    CGO_ENABLED=0 go test -c "${guided[@]}" -o "$bin/fuzz.test" "$pkg" && last=$pkg
  fi
  echo "fuzz $target in $pkg"
  (cd "$pkg" && "$bin/fuzz.test" -test.run '^$' -test.fuzz "^${target}\$" -test.fuzztime "$time" -test.parallel 2 -test.fuzzcachedir "$bin/cache") >"$log" 2>&1 || { cat "$log"; exit 1; }
  n=$((n + 1))
done < <(git grep -E -o '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed -E 's/func //' | sort)
[ "$n" -gt 0 ] || { echo "no fuzz targets found"; exit 1; }
echo "$n fuzz targets, ${time} each"
