# syslog-retention.sh FOLDER DAYS: deletes logs that are older, packs those of past days.
set -eu
cd "$1"
find . -type f -mtime "+$2" -delete
find . -type f -name '*.log' -mtime +1 -exec gzip {} +
find . -mindepth 1 -type d -empty -delete
