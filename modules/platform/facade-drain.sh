# Takes a server out of the façade, or back in (E4). Within seconds it gets no new connections; those that it has stay until they end. Run
# it on both balancers of the pair: each has its own mind.
#
#   chasqui-facade-drain HOST on|off|status
#
# Each line of the list of servers is `HOST ADDRESS`.
set -euo pipefail
list=${CHASQUI_FACADE_SERVERS:-/etc/chasqui/facade-servers}
folder=${CHASQUI_FACADE:-/run/chasqui-facade}

usage() {
  echo "chasqui-facade-drain HOST on|off|status" >&2
  exit 2
}

status() {
  if [ -e "$folder/drain/$1" ]; then word=drained; else word="in service"; fi
  echo "$1: $word"
  # The columns of ipvsadm: server, method, weight, active and inactive connections.
  while read -r host address; do
    [ "$host" = "$1" ] || continue
    ipvsadm -Ln | awk -v address="$address" '
      $1 == "->" { server = $2; gsub(/[][]/, "", server); sub(/:[0-9]+$/, "", server) }
      $1 == "->" && server == address { print "  " $2 ": weight " $4 ", " $5 " connections" }'
  done <"$list"
}

[ $# = 2 ] || usage
if ! awk '{ print $1 }' "$list" | grep -qxF -- "$1"; then
  echo "no server is called $1; there are: $(cut -d ' ' -f 1 "$list" | sort -u | tr '\n' ' ')" >&2
  exit 1
fi
case $2 in
  on)
    mkdir -p "$folder/drain"
    touch "$folder/drain/$1"
    echo "$1: drained; its new connections stop with the next check"
    ;;
  off)
    rm -f "$folder/drain/$1"
    echo "$1: in service again with the next check"
    ;;
  status) status "$1" ;;
  *) usage ;;
esac
