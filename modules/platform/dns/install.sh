# Installs zone files for the primary: install.sh SOURCES STATE. Each file under SOURCES that differs from what was installed last goes
# to the same place under STATE, with a serial that is greater than the last: BIND takes a changed zone, and secondaries follow.
set -eu
sources=$1
state=$2
mkdir -p "$state/keys"
find "$sources" -name '*.zone' -printf '%P\n' | sort | while read -r zone; do
  target=$state/zones/$zone
  mkdir -p "$(dirname "$target")"
  if cmp -s "$sources/$zone" "$target.source"; then
    continue
  fi
  serial=$(date +%s)
  last=$(sed -n 's/^ *\([0-9]*\) *; serial:.*/\1/p' "$target" 2>/dev/null || echo 0)
  if [ "$serial" -le "${last:-0}" ]; then
    serial=$((last + 1))
  fi
  sed "s/^\( *\)1\( *; serial:.*\)/\1$serial\2/" "$sources/$zone" > "$target.new"
  mv "$target.new" "$target"
  cp "$sources/$zone" "$target.source"
done
