#!/usr/bin/env bash
# Installs the programs that Parley or its tests use, where that is allowed (root and apt).
#   install.sh speech   offline speech engines; optional: says in one line what is missing
#   install.sh test     the peers the tests talk to; fails when one is missing
set -euo pipefail

speech=(flite espeak-ng pocketsphinx pocketsphinx-en-us)
test=(g++ pkg-config git sip-tester baresip-core chromium postgresql sox libwebrtc-audio-processing-dev alsa-utils
  pocketsphinx-testdata asterisk-core-sounds-en-wav)

missing() { # packages of "$@" that are not installed
  local p
  for p in "$@"; do dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -q '^installed' || echo "$p"; done
}
may() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
install() {
  echo "installing: $*"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>"${TMPDIR:-/tmp}/parley-apt.log"
}

case "${1:-}" in
speech)
  if ! command -v dpkg-query >/dev/null; then
    for p in flite espeak-ng pocketsphinx_batch; do command -v "$p" >/dev/null || echo "offline speech: $p is missing; agents with a speech server (Models) and the simulated agent work without it"; done
    exit 0
  fi
  mapfile -t need < <(missing "${speech[@]}")
  [ ${#need[@]} -eq 0 ] && exit 0
  if may && install "${need[@]}"; then exit 0; fi
  echo "offline speech is incomplete: install ${need[*]} (apt-get install ${need[*]}); the simulated agent and agents with a speech server (Models) work without them"
  ;;
test)
  command -v dpkg-query >/dev/null || { echo "the tests need Debian or Ubuntu packages: ${speech[*]} ${test[*]}"; exit 1; }
  mapfile -t need < <(missing "${speech[@]}" "${test[@]}")
  [ ${#need[@]} -eq 0 ] && exit 0
  may || { echo "the tests need these packages; install them as root: apt-get install ${need[*]}"; exit 1; }
  install "${need[@]}" || { cat "${TMPDIR:-/tmp}/parley-apt.log"; exit 1; }
  mapfile -t need < <(missing "${speech[@]}" "${test[@]}")
  [ ${#need[@]} -eq 0 ] || { echo "could not install: ${need[*]}"; exit 1; }
  ;;
*)
  echo "usage: install.sh speech|test" >&2
  exit 2
  ;;
esac
