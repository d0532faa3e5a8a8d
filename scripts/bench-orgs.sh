#!/usr/bin/env bash
# Measures an installation with many organisations beside one with a single one: start, memory, latency of a request.
#   BENCH_ORGS=1000 BENCH_OWN=100     how many, and how many of them in databases of their own
#   BENCH_RATE=200 BENCH_SECONDS=20   the load: GET /api/v1/agents by the tokens of all organisations in turn
#   BENCH_DATABASE_URL=postgres://... an empty database whose user may make others; empty: SQLite
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin/parley orgs=${BENCH_ORGS:-1000} own=${BENCH_OWN:-100} rate=${BENCH_RATE:-200} hold=${BENCH_SECONDS:-20}
work=$(mktemp -d)
export PARLEY_DATA_DIR=$work/data PARLEY_HTTP_ADDR=127.0.0.1:28081 PARLEY_SIP_ADDR=off PARLEY_WEBRTC_ADDR=off PARLEY_LOG_LEVEL=warn PARLEY_DRAIN=0s
export PARLEY_RATE_ADDRESS=off PARLEY_RATE_READ=off PARLEY_RATE_ORGANISATION=off PARLEY_DATABASE_URL=${BENCH_DATABASE_URL:-}
pid=
stop() { [ -z "$pid" ] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; }; pid=; }
trap 'stop; rm -rf "$work"' EXIT

start() { # gives the milliseconds until it is ready
  stop
  local t0; t0=$(date +%s%N)
  "$bin" serve >"$work/serve.log" 2>&1 &
  pid=$!
  for _ in $(seq 3000); do curl -fs "http://$PARLEY_HTTP_ADDR/health/ready" >/dev/null 2>&1 && { took=$(( ($(date +%s%N) - t0) / 1000000 )); return; }; sleep 0.01; done
  cat "$work/serve.log"; exit 1
}
rss() { awk '/VmRSS/ {printf "%d", $2 / 1024}' "/proc/$pid/status"; }
measure() { # NAME TOKENS
  start
  local idle; sleep 3; idle=$(rss)
  local line; line=$("$bin" load --http "http://$PARLEY_HTTP_ADDR/api/v1/agents" --tokens "$2" --rate "$rate" --duration "${hold}s" --json)
  printf '| %s | %s ms | %s MiB | %s MiB | %s |\n' "$1" "$took" "$idle" "$(rss)" "$(python3 -c '
import json,sys
r=json.loads(sys.argv[1])
ms=lambda k: "%.2f" % (r[k]/1e6)
print(ms("p50"),"/",ms("p99"),"ms, longest",ms("max"),"ms,",r["failed"],"of",r["requests"],"failed; generator late",ms("late"),"ms")' "$line")"
}
make() { # FIRST COUNT PLACEMENT: by the hundred, for one person owns at most 500
  printf 'figures of many organisations\n' | "$bin" org create --name "House $1" --owner-email "owner$1@example.com" --password-stdin --count "$2" --placement "$3" --with-token 2>>"$work/make.log" || { tail -3 "$work/make.log"; exit 1; }
}

make 0 1 shared >"$work/one"
echo "machine: $(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), load before: $(cut -d' ' -f1-3 /proc/loadavg); $rate requests a second for $hold s"
echo
echo "| organisations | start | memory idle | memory after | GET /api/v1/agents, p50 / p99 |"
echo "|---|---|---|---|---|"
measure "1" "$work/one"
stop
cp "$work/one" "$work/all"
t0=$(date +%s)
for ((i = 1; i < orgs - own; i += 400)); do make "$i" $(( orgs - own - i < 400 ? orgs - own - i : 400 )) shared >>"$work/all"; done
measure "$(wc -l <"$work/all"), all shared" "$work/all"
stop
[ "$own" = 0 ] || make own "$own" own >"$work/own"
cat "$work/own" >>"$work/all"
t1=$(date +%s)
measure "$(wc -l <"$work/all"), $own of them in databases of their own" "$work/all"
stop
measure "the same, only those of their own asked" "$work/own"
echo
echo "making them took $((t1 - t0)) s with the measurements between"
