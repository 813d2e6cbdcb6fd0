# chasqui-trace FOLDER WORDS: what all hosts logged about something, such as a delivery's id, in order of time.
set -eu
if [ $# -ne 2 ]; then
  echo "usage: chasqui-trace WORDS" >&2
  exit 2
fi
find "$1" -type f -print0 | xargs -0 -r zgrep -hF -e "$2" | sort || true
