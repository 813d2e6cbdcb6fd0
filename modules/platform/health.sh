# health.sh TABLE FOLDER: connects to each service that TABLE names, as a client would, and writes which ones answer into FOLDER for monitoring.
# A line of TABLE: name, address, port, and how the greeting begins (nothing: it is enough that the connection is taken).
set -u
table=$1 folder=$2

probe() {
  exec 3<> "/dev/tcp/$1/$2" || return 1
  [ -n "$3" ] || return 0
  IFS= read -r -n "${#3}" -u 3 greeting
  [ "$greeting" = "$3" ]
}
export -f probe

new=$(mktemp "$folder/.health.XXXXXX")
while IFS='|' read -r name address port expect; do
  case $name in '' | '#'*) continue ;; esac
  good=0
  if timeout 10 "$BASH" -c 'probe "$@"' probe "$address" "$port" "$expect" 2> /dev/null; then good=1; fi
  echo "chasqui_service_answers{service=\"$name\"} $good"
done < "$table" > "$new"
chmod 644 "$new"
mv "$new" "$folder/health.prom"
