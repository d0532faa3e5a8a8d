# Addresses of the databases of an installation, for the scripts beside it. Sourced.

with_database() { # URL DATABASE
  local base=${1%%\?*} query=
  [ "$base" = "$1" ] || query="?${1#*\?}"
  printf '%s/%s%s' "${base%/*}" "$2" "$query"
}

database_of() { local base=${1%%\?*}; printf '%s' "${base##*/}"; }

own_url() { # DATABASE REGION
  local pair
  [ -n "${2:-}" ] || { with_database "$master" "$1"; return; }
  for pair in ${PARLEY_REGIONS:-}; do
    [ "${pair%%=*}" != "$2" ] || { printf '%s' "${pair#*=}" | sed "s/{database}/$1/g"; return; }
  done
  echo "there is no region $2 in PARLEY_REGIONS" >&2
  return 1
}
