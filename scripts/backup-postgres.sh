#!/usr/bin/env bash
# Backs up an installation on PostgreSQL into an empty folder, while it runs: each organisation's own database, then the master's.
#   PARLEY_DATABASE_URL=postgres://... PARLEY_REGIONS='eu=postgres://...{database}...' scripts/backup-postgres.sh FOLDER
# The user is Parley's own. pg_dump, psql and sha256sum must be in PATH. The buckets come after it, and the key is kept elsewhere: docs/backup.md.
set -euo pipefail
to=${1:?a folder}
master=${PARLEY_DATABASE_URL:?the URL of the master database}
. "$(dirname "$0")/postgres-urls.sh"
umask 077
mkdir -p "$to"
[ -z "$(ls -A "$to")" ] || { echo "$to is not empty" >&2; exit 1; }

# Row level security binds the owner, too: this opens the system door of docs/security, and only the user that owns the tables may.
export PGOPTIONS='-c app.system=on'
ask() { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --field-separator ' ' --dbname "$1" --command "$2"; }
dump() { pg_dump --format=custom --enable-row-security --file "$to/$2.part" --dbname "$1"; mv "$to/$2.part" "$to/$2"; }

still() { [ "$(ask "$master" 'SELECT count(*) FROM org_moves')" = 0 ] || { echo "an organisation is being moved: its rows are in two places; finish the move first" >&2; exit 1; }; }
still
ask "$master" "SELECT dbname, region FROM placements WHERE placement = 'own' AND state = 'active' ORDER BY dbname" >"$to/databases"
while read -r database region; do
  dump "$(own_url "$database" "$region")" "own-$database.dump"
done <"$to/databases"
dump "$master" master.dump
still
(cd "$to" && sha256sum databases ./*.dump >SHA256SUMS)
echo "$(wc -l <"$to/databases") own databases and the master's are in $to"
