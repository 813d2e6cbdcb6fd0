# Says a server's share of the connections at this moment (E4). keepalived runs it for every server and port, every few seconds; it takes
# the exit code less 2 for the weight, and 1 for a server that does not work (MISC_CHECK with misc_dynamic).
#
#   chasqui-facade-share HOST ADDRESS PORT WEIGHT smtp|imap|pop|tcp|udp
#
# A server that takes longer than a fifth of a second to say its first word has more to do than the others: its share falls as the time
# grows, to no less than a tenth. The time is an average that forgets a quarter with each measurement, so that one slow moment, here or
# there, moves little. A drained server has no share; what is connected to it stays connected.
set -u
host=$1 address=$2 port=$3 weight=$4 protocol=$5
folder=${CHASQUI_FACADE:-/run/chasqui-facade}
full_share_ms=200

if [ "$weight" = 0 ] || [ -e "$folder/drain/$host" ]; then exit 2; fi
case $protocol in
  smtp) greeting='220' farewell='QUIT' ;;
  imap) greeting='* OK' farewell='a LOGOUT' ;;
  pop) greeting='+OK' farewell='QUIT' ;;
  tcp) greeting='' farewell='' ;;
  *) exit $((weight + 2)) ;;
esac

start=${EPOCHREALTIME//[.,]/}
exec 3<>"/dev/tcp/$address/$port" || exit 1
if [ -n "$greeting" ]; then
  IFS= read -r -u 3 said || exit 1
  [ "${said#"$greeting"}" != "$said" ] || exit 1
  printf '%s\r\n' "$farewell" >&3
fi
took_ms=$(((${EPOCHREALTIME//[.,]/} - start) / 1000))

memory=$folder/times/$host-$port
if read -r average_ms 2>/dev/null <"$memory"; then average_ms=$(((3 * average_ms + took_ms) / 4)); else average_ms=$took_ms; fi
echo "$average_ms" >"$memory"

share=$weight
if [ "$average_ms" -gt "$full_share_ms" ]; then
  share=$((weight * full_share_ms / average_ms))
  least=$(((weight + 9) / 10))
  if [ "$share" -lt "$least" ]; then share=$least; fi
fi
exit $((share + 2))
