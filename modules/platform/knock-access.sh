# Puts fwknopd's two files into a folder that only it can read (E2): its settings, and who may knock, from the administrators' key files,
# which systemd has put into the unit's credentials.
#
#   chasqui-knock-access SETTINGS STANZA FOLDER PERSON…
#
# A key file has the two lines that `fwknop --key-gen` prints: `KEY_BASE64: …` and `HMAC_KEY_BASE64: …`.
set -euo pipefail
settings=$1 stanza=$2 folder=$3
shift 3

key() {
  awk -v name="$1" '$1 == name ":" { print $2; exit }' "$2"
}

umask 077
cat "$settings" >"$folder/fwknopd.conf"
for person in "$@"; do
  file=$CREDENTIALS_DIRECTORY/$person
  cipher=$(key KEY_BASE64 "$file") hmac=$(key HMAC_KEY_BASE64 "$file")
  if [ -z "$cipher" ] || [ -z "$hmac" ]; then
    echo "the key file of $person lacks KEY_BASE64 or HMAC_KEY_BASE64; write what \`fwknop --key-gen' prints into it" >&2
    exit 1
  fi
  printf '# %s\nSOURCE ANY\nKEY_BASE64 %s\nHMAC_KEY_BASE64 %s\n' "$person" "$cipher" "$hmac"
  cat "$stanza"
  echo
done >"$folder/access.conf"
