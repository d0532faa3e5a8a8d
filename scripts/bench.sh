#!/usr/bin/env bash
# Measures a server started for it, on loopback, and prints the table of docs/performance.md.
#   BENCH_SECONDS=30   how long each load is held
#   BENCH_CAMPAIGN=0   without campaigns, which take five minutes
#   BENCH_GO=1         also the Go benchmarks of the hot path (slow)
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin/parley
hold=${BENCH_SECONDS:-30}
work=$(mktemp -d)
export PARLEY_DATA_DIR=$work/data PARLEY_HTTP_ADDR=127.0.0.1:28080 PARLEY_SIP_ADDR=127.0.0.1:25060 PARLEY_WEBRTC_ADDR=off
export PARLEY_RTP_PORTS=30000-39999 PARLEY_MAX_CALLS=3000 PARLEY_LOG_LEVEL=warn PARLEY_DRAIN=0s
pid=
stop() { [ -z "$pid" ] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; }; pid=; }
trap 'stop; rm -rf "$work"' EXIT

start() { # a server of its own for each row, so that memory and histograms are that row's
  stop
  "$bin" serve >"$work/serve.log" 2>&1 &
  pid=$!
  for _ in $(seq 200); do curl -fs "http://$PARLEY_HTTP_ADDR/health/ready" >/dev/null 2>&1 && return; sleep 0.05; done
  cat "$work/serve.log"; exit 1
}
load() { "$bin" load --metrics "http://$PARLEY_HTTP_ADDR/metrics" --json "$@" 2>/dev/null >"$work/report.json"; }
get() { python3 -c '
import json,sys
r=json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."): r=r.get(k) if r else None
print("-" if r is None else (round(r,3) if isinstance(r,float) else r))' "$work/report.json" "$1"; }
row() { printf '| %s | %s | %s |\n' "$1" "$2" "$3"; }
note() { # what makes a run doubtful
  [ "$(get generator.late)" = True ] && echo " (the generator was late: worst $(get generator.worstMs) ms)" || true; }

start
printf 'figures of load %s\n' "$RANDOM$RANDOM" | "$bin" user create --owner --email owner@example.com --password-stdin
media=$("$bin" token media --agent sim)
stop

echo "machine: $(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), load before: $(cut -d' ' -f1-3 /proc/loadavg)"
echo
echo "| figure | to reach | measured |"
echo "|---|---|---|"

t0=$(date +%s%N)
"$bin" serve >"$work/serve.log" 2>&1 &
pid=$!
row "start of the process → first call answered" "≤ 1 s" "$(python3 scripts/firstcall.py 127.0.0.1 "${PARLEY_SIP_ADDR##*:}" sim "$t0") ms"

start
load --sip "sip:sim@$PARLEY_SIP_ADDR" --calls 100 --rate 50 --duration "${hold}s"
row "CPU a call, SIP, 100 calls" "≤ 0.3 % of a core" "$(get server.cpuPercentPerCall) %$(note)"
row "memory a call, SIP, 100 calls" "≤ 1 MB" "$(( $(get server.memoryPerCallBytes | cut -d. -f1) / 1024 )) KiB"
row "added latency at 100 calls, p50 / p99" "≤ 2 / 10 ms" "$(get server.addedP50Ms) / $(get server.addedP99Ms) ms over $(get server.addedTurns) turns"

start
load --sip "sip:sim@$PARLEY_SIP_ADDR" --calls 100 --rate 0 --duration "${hold}s"
row "the same in a cold burst of 100 calls at once, p99" "≤ 25 ms" "$(get server.addedP99Ms) ms$(note)"

start
load --sip "sip:sim@$PARLEY_SIP_ADDR" --calls 500 --rate 100 --duration "${hold}s"
row "500 calls at once: lost / late by more than 20 ms" "0 / 0" "$(get frames.lost) / $(get frames.late) of $(get frames.received)$(note)"
row "the same: CPU and memory a call" "" "$(get server.cpuPercentPerCall) %, $(( $(get server.memoryPerCallBytes | cut -d. -f1) / 1024 )) KiB"

start
load --sip "sip:sim@$PARLEY_SIP_ADDR" --calls 50 --rate 50 --duration "$((hold + 20))s" --stall
row "delay 5 s after a 1 s stall, p50 / max" "≤ 60 ms" "$(get stall.addedMs.p50) / $(get stall.addedMs.max) ms over $(get stall.calls) calls$(note)"

start
load --sip "sip:sim@$PARLEY_SIP_ADDR" --calls 1000 --rate 0 --duration 0s
row "call set-up, burst of 1,000" "≥ 500 a second" "$(get setupRate) a second, $(get connected) answered$(note)"

start
load --twilio "ws://$PARLEY_HTTP_ADDR/carriers/twilio/media" --token "$media" --calls 100 --rate 50 --duration "${hold}s"
row "CPU a call, media streams, 100 calls" "≤ 0.3 % of a core" "$(get server.cpuPercentPerCall) %$(note)"
row "memory a call, media streams" "≤ 1 MB" "$(( $(get server.memoryPerCallBytes | cut -d. -f1) / 1024 )) KiB"
row "added latency, media streams, p50 / p99" "≤ 2 / 10 ms" "$(get server.addedP50Ms) / $(get server.addedP99Ms) ms"
stop
[ "${BENCH_CAMPAIGN:-1}" = 0 ] || BENCH_ROWS=1 scripts/bench-campaign.sh

if [ "${BENCH_GO:-0}" = 1 ]; then
  echo
  go test -run '^$' -bench . -benchmem ./internal/media/... ./internal/voice/turn ./internal/telephony/mediastream | grep -E '^(Benchmark|pkg)'
fi
