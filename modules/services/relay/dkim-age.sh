# Tells monitoring since when each domain's key signs, 0 for a domain without one: dkim-age.sh KEYS FOLDER DOMAIN…
set -euo pipefail
keys=$1
folder=$2
shift 2
[ -d "$folder" ] || exit 0
new=$(mktemp "$folder/.dkim.XXXXXX")
trap 'rm -f "$new"' EXIT
shown=$(chasqui dkim show --json --keys "$keys")
for domain in "$@"; do
  since=$(jq -r --arg domain "$domain" \
    '[.[] | select(.domain == $domain) | .pairs[] | select(.stage == "active") | .active] | max // 0' <<< "$shown")
  echo "chasqui_dkim_active_timestamp_seconds{domain=\"$domain\"} $since"
done > "$new"
chmod 0644 "$new"
mv "$new" "$folder/dkim.prom"
