# pki-check.sh TABLE [FOLDER]: looks at the certificates that TABLE names: whether they are there, valid, of the right names and roles,
# with keys that only root reads. Says what is wrong and how to mend it, and writes figures for monitoring into FOLDER.
set -u
table=$1
folder=${2:-}
wrong=0
metrics=""

complain() {
  echo "$1" >&2
  good=0
  wrong=1
}

while read -r kind certificate key authority names roles; do
  case $kind in '' | '#'*) continue ;; esac
  good=1
  if [ ! -r "$certificate" ]; then
    complain "$certificate: missing; issue it on the trusted host (the command is in $table) and copy it here"
  else
    ends=$(date -d "$(openssl x509 -noout -enddate -in "$certificate" | cut -d= -f2)" +%s)
    metrics="${metrics}chasqui_certificate_ends_timestamp_seconds{kind=\"$kind\"} $ends
"
    if [ "$ends" -le "$(date +%s)" ]; then
      complain "$certificate: it has expired; issue a new one"
    fi
    if [ "$authority" != - ] && ! openssl verify -CAfile "$authority" "$certificate" > /dev/null 2>&1; then
      complain "$certificate: it is not of the authority in $authority, or that has expired; copy both from the trusted host"
    fi
    for name in $(echo "$names" | tr , ' '); do
      if ! openssl x509 -noout -checkhost "$name" -in "$certificate" | grep -q 'does match'; then
        complain "$certificate: it lacks the name $name; issue it again"
      fi
    done
    for role in $(echo "$roles" | tr -- '-,' '  '); do
      if ! openssl x509 -noout -ext subjectAltName -in "$certificate" | tr , '\n' | grep -q "URI:urn:chasqui:role:$role\$"; then
        complain "$certificate: it lacks the role $role; issue it again"
      fi
    done
  fi
  if [ ! -r "$key" ]; then
    complain "$key: missing; copy it from the trusted host"
  else
    if [ "$(stat -c %a "$key" | tail -c 3)" != 00 ]; then
      complain "$key: others may read it; chmod 0600 $key"
    fi
    if [ -r "$certificate" ] \
      && [ "$(openssl x509 -noout -pubkey -in "$certificate")" != "$(openssl pkey -pubout -in "$key" 2> /dev/null)" ]; then
      complain "$key: it is not the key of $certificate; copy both again"
    fi
  fi
  metrics="${metrics}chasqui_certificate_good{kind=\"$kind\"} $good
"
done < "$table"

if [ -n "$folder" ] && [ -d "$folder" ]; then
  printf '%s' "$metrics" > "$folder/pki.prom.new"
  mv "$folder/pki.prom.new" "$folder/pki.prom"
fi
exit "$wrong"
