#!/usr/bin/env bash
# Looks for known weaknesses: gosec over our code, govulncheck and npm audit over what we use. What gosec finds has to be
# in docs/security/findings.md, with the reason. govulncheck and npm audit need https://vuln.go.dev and a registry that
# answers; where they cannot be asked this script says so and fails at the end: not asked is not clean.
set -uo pipefail
cd "$(dirname "$0")/.."

# Newer versions of both need modules that not every mirror has.
gosec=github.com/securego/gosec/v2/cmd/gosec@v2.22.11
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.8.0
vulndb=${VULNDB:-https://vuln.go.dev} # or file:///FOLDER with a copy
findings=docs/security/findings.md
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bad=0
unknown=()

echo "gosec"
# Its status is 1 with findings, which are judged here; what it could not read is an error all the same.
nice -n 10 "${GO:-go}" run "$gosec" -quiet -no-fail -fmt json -out "$out/gosec.json" -exclude-generated -exclude-dir web -exclude-dir test ./... >"$out/gosec.log" 2>&1 ||
  { tail -5 "$out/gosec.log"; unknown+=("gosec did not run"); }
if [ -s "$out/gosec.json" ]; then
  node scripts/findings.mjs "$out/gosec.json" "$findings" || bad=1
fi

echo "govulncheck"
if ! nice -n 10 "${GO:-go}" run "$govulncheck" -db "$vulndb" ./... >"$out/vuln.log" 2>&1; then
  if grep -q "fetching vulnerabilities" "$out/vuln.log"; then
    unknown+=("the Go vulnerability database cannot be reached")
  elif grep -q "Vulnerability #" "$out/vuln.log"; then
    cat "$out/vuln.log"
    bad=1
  else
    tail -5 "$out/vuln.log"
    unknown+=("govulncheck did not run")
  fi
fi

for lock in $(git ls-files '*package-lock.json'); do
  dir=$(dirname "$lock")
  echo "npm audit: $dir"
  if ! (cd "$dir" && npm audit --audit-level=low --package-lock-only --fetch-retries=1 --fetch-timeout=20000) >"$out/npm.log" 2>&1; then
    if grep -q "audit endpoint\|ENOTFOUND\|ECONNREFUSED\|ETIMEDOUT\|EAI_AGAIN" "$out/npm.log"; then
      unknown+=("the registry does not answer npm audit for $dir")
    else
      cat "$out/npm.log"
      bad=1
    fi
  fi
done

for what in "${unknown[@]}"; do echo "NOT KNOWN: $what"; done
[ "$bad" = 0 ] && [ "${#unknown[@]}" = 0 ] && echo "nothing found that is not explained in $findings"
[ "$bad" = 0 ] && [ "${#unknown[@]}" = 0 ]
