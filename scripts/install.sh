#!/usr/bin/env bash
# Installs the programs that Parley or its tests use, where that is allowed (root and apt).
#   install.sh speech   offline speech engines; optional: says in one line what is missing
#   install.sh test     the peers the tests talk to; fails when one is missing
set -euo pipefail

speech=(flite espeak-ng pocketsphinx pocketsphinx-en-us)
test=(g++ pkg-config git sip-tester baresip-core chromium postgresql sox libwebrtc-audio-processing-dev alsa-utils
  pocketsphinx-testdata asterisk-core-sounds-en-wav)
without="the agent sim and agents with a speech server (see Models) work without them"
# A mirror that does not answer costs minutes, not hours; a package manager that is busy is waited for.
apt=(apt-get -qq -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o DPkg::Lock::Timeout=120)

missing() { # packages of "$@" that are not installed
  local p
  for p in "$@"; do dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -q '^installed' || echo "$p"; done
}
may() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
# What counts is what is installed afterwards: one source of many that fails must not stop the others.
install() { # sets need to what is still missing, and log to what apt said
  echo "installing ${need[*]}"
  log=$(mktemp --tmpdir parley-apt.XXXXXX.log)
  "${apt[@]}" update >>"$log" 2>&1 || true
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${need[@]}" >>"$log" 2>&1 || true
  mapfile -t need < <(missing "${need[@]}")
  [ ${#need[@]} -eq 0 ] && rm -f "$log"
}
reason() { # apt's first complaint, on one line
  grep -m1 -E '^(E|Err|W):' "$log" || echo "apt gave no reason"
}

case "${1:-}" in
speech)
  if ! command -v dpkg-query >/dev/null; then
    for p in flite espeak-ng pocketsphinx_batch; do command -v "$p" >/dev/null || need+=("$p"); done
    [ -z "${need+some}" ] || echo "offline speech is incomplete, missing: ${need[*]}; $without"
    exit 0
  fi
  mapfile -t need < <(missing "${speech[@]}")
  [ ${#need[@]} -eq 0 ] && exit 0
  if ! may; then
    echo "offline speech is incomplete, as root: apt-get install ${need[*]}; $without"
  elif ! install; then
    echo "offline speech is incomplete, apt could not install ${need[*]} ($(reason); log: $log); $without"
  fi
  ;;
test)
  command -v dpkg-query >/dev/null || { echo "the tests need these packages of Debian or Ubuntu: ${speech[*]} ${test[*]}" >&2; exit 1; }
  mapfile -t need < <(missing "${speech[@]}" "${test[@]}")
  [ ${#need[@]} -eq 0 ] && exit 0
  may || { echo "the tests need these packages; install them as root: apt-get install ${need[*]}" >&2; exit 1; }
  install && exit 0
  tail -n 20 "$log" >&2
  echo "the tests need ${need[*]}, which apt could not install: $(reason). Is the package mirror reachable? Whole log: $log" >&2
  exit 1
  ;;
*)
  echo "usage: install.sh speech|test" >&2
  exit 2
  ;;
esac
