# Takes a target of the router out of service, or back in, without a reload (E3). New connections go to the next target; those that exist
# stay until they end. Run it on both routers of the pair: each keeps its own translations.
#
#   chasqui-router-drain TARGET on|off|status      a host's name, or a façade address
#   chasqui-router-drain --again                   what was said before, after the rules were loaded anew
#
# Each line of the list of targets is `TARGET FAMILY MAP KEY ADDRESS DRAINED`.
set -euo pipefail
list=${CHASQUI_ROUTER_TARGETS:-/etc/chasqui/router-targets}
state=${CHASQUI_ROUTER_STATE:-/run/chasqui-router}

usage() {
  sed -n 's/^#   //p' "$0" >&2
  exit 2
}

lines_of() {
  awk -v target="$1" '$1 == target || $5 == target' "$list"
}

# An element that is there is added without harm, and only what is there can be deleted.
batch() {
  while read -r _ _ map key address _; do
    echo "add element inet chasqui_router $map { $key : $address }"
    if [ "$2" = on ]; then echo "delete element inet chasqui_router $map { $key }"; fi
  done < <(lines_of "$1")
}

set_drain() {
  batch "$1" "$2" | nft -f -
}

status() {
  drained=0 total=0
  while read -r _ _ map key _; do
    total=$((total + 1))
    nft get element inet chasqui_router "$map" "{ $key }" >/dev/null 2>&1 || drained=$((drained + 1))
  done < <(lines_of "$1")
  if [ "$drained" = "$total" ]; then word=drained; else word="in service"; fi
  connections=0
  for address in $(lines_of "$1" | awk '{ print $5 }' | sort -u); do
    found=$(conntrack -L --reply-src "$address" 2>/dev/null | wc -l)
    connections=$((connections + found))
  done
  echo "$1: $word, $connections connections"
}

if [ "${1:-}" = --again ]; then
  for file in "$state"/drain/*; do
    [ -e "$file" ] || continue
    target=$(basename "$file")
    if [ -n "$(lines_of "$target")" ]; then set_drain "$target" "$(cat "$file")"; fi
  done
  exit 0
fi
[ $# = 2 ] || usage
if [ -z "$(lines_of "$1")" ]; then
  echo "no target is called $1; there are: $(cut -d ' ' -f 1 "$list" | sort -u | tr '\n' ' ')" >&2
  exit 1
fi
case $2 in
  on | off)
    set_drain "$1" "$2"
    mkdir -p "$state/drain"
    echo "$2" >"$state/drain/$1"
    status "$1"
    ;;
  status) status "$1" ;;
  *) usage ;;
esac
