#!/usr/bin/env bash
# Measures campaigns on SQLite and PostgreSQL: rows of the table of docs/performance.md, and what the work costs as a list
# grows from 1,000 to 1,000,000 leads.
#   BENCH_PLOT=docs/campaign-cost.svg   also draw the growth there
#   BENCH_ROWS=1                        only the rows, without the heading of a table
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
before=$(cut -d' ' -f1-3 /proc/loadavg)
bench() { go test -run '^$' -benchtime "$2" -timeout 60m -bench "$1" "$3" >>"$out" || { cat "$out" >&2; exit 1; }; }
PARLEY_BENCH_LEADS=1 bench '^BenchmarkGrowth$' 1x ./internal/campaign
bench '^BenchmarkDecisions$' 5s ./internal/campaign
bench '^BenchmarkRegister$' 2s ./internal/campaign/donotcall
bench '^BenchmarkPlay$' 2s ./internal/campaign/simulate
if [ "${BENCH_ROWS:-}" != 1 ]; then
  echo "machine: $(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), load before: $before"
  printf '\n| figure | to reach | measured |\n|---|---|---|\n'
fi
python3 scripts/benchcampaign.py "$out" ${BENCH_PLOT:+"$BENCH_PLOT"}
