#!/usr/bin/env bash
# Puts a modern Nix (Debian trixie's, with the libraries it needs) into a private folder on an older Debian, without touching the
# system: no daemon, no build users, no /nix. About 20 s and 40 MB.
#
#   tests/nix/get-nix.sh FOLDER       then: FOLDER/bin/nix …
#
# Its store is FOLDER/root/nix/store, which Nix itself calls /nix/store, so that paths and their hashes are those of a real host.
set -euo pipefail
folder=$(realpath -m "$1")
suite=trixie
[[ -x $folder/bin/nix ]] && "$folder/bin/nix" --version >/dev/null 2>&1 && exit 0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/{lists/partial,debs/partial,root,none} "$folder"/{bin,lib,root}

# The mirror that this machine's own apt uses for Debian.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | grep -v -e security | sort -u | head -n1
}
uri=$(mirror || true)
[[ -n $uri ]] || { apt-get -qq update; uri=$(mirror); }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" > "$tmp/sources.list"

# With an empty list of installed packages everything that Nix needs is downloaded, and nothing is installed.
: > "$tmp/status"
options=(-qq -o Dir::Etc::sourcelist="$tmp/sources.list" -o Dir::Etc::sourceparts="$tmp/none"
    -o Dir::Etc::preferencesparts="$tmp/none" -o Dir::State::lists="$tmp/lists" -o Dir::State::status="$tmp/status"
    -o Dir::Cache="$tmp" -o Dir::Cache::archives="$tmp/debs" -o APT::Install-Recommends=false
    -o APT::Sandbox::User=root -o Debug::NoLocking=1)
apt-get "${options[@]}" update
apt-get "${options[@]}" -y --download-only install nix-bin
for package in "$tmp"/debs/*.deb; do dpkg-deb -x "$package" "$tmp/root"; done

libraries=$tmp/root/usr/lib/x86_64-linux-gnu
loader=$(readlink -f "$libraries/ld-linux-x86-64.so.2")
cp -L "$loader" "$folder/lib/ld.so"
cp "$tmp/root/usr/bin/nix" "$folder/lib/nix"
"$loader" --library-path "$libraries" --list "$tmp/root/usr/bin/nix" | awk '$3 ~ /^\// { print $3 }' |
    while read -r library; do cp -L "$library" "$folder/lib/"; done

for name in nix nix-instantiate; do
    cat > "$folder/bin/$name" <<'WRAPPER'
#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
unset NIX_STORE_DIR NIX_STATE_DIR NIX_LOG_DIR
export NIX_REMOTE="local?root=$here/root" NIX_CONF_DIR="$here/etc" XDG_CACHE_HOME="$here/cache" XDG_STATE_HOME="$here/state"
# No build hook: it would start the loader anew. Nothing is built here anyway.
export NIX_CONFIG="experimental-features = nix-command flakes
substituters =
build-users-group =
build-hook =
builders =
sandbox = false
fsync-metadata = false
flake-registry =
warn-dirty = false
${NIX_CONFIG:-}"
exec "$here/lib/ld.so" --library-path "$here/lib" --argv0 "${0##*/}" "$here/lib/nix" "$@"
WRAPPER
    chmod +x "$folder/bin/$name"
done
"$folder/bin/nix" --version
