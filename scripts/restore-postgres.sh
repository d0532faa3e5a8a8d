#!/usr/bin/env bash
# Restores what backup-postgres.sh made, to servers where none of the databases is there yet: own databases, then the master's.
#   PARLEY_DATABASE_URL=postgres://... PARLEY_REGIONS='eu=postgres://...{database}...' scripts/restore-postgres.sh FOLDER
# Own databases keep their names. The user needs CREATEDB, and the role parley_app must be there and be granted to it: docs/backup.md.
set -euo pipefail
from=${1:?a folder}
master=${PARLEY_DATABASE_URL:?the URL of the master database, which is made}
. "$(dirname "$0")/postgres-urls.sh"
(cd "$from" && sha256sum --quiet --check SHA256SUMS)

load() { # URL DATABASE FILE
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname "$(with_database "$1" postgres)" --command "CREATE DATABASE \"$2\""
  pg_restore --exit-on-error --no-owner --dbname "$1" "$3"
}
while read -r database region; do
  load "$(own_url "$database" "$region")" "$database" "$from/own-$database.dump"
done <"$from/databases"
load "$master" "$(database_of "$master")" "$from/master.dump"
echo "restored; give Parley the same key, and the bucket's copy as PARLEY_BLOB_URL"
