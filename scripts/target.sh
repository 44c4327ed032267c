#!/usr/bin/env bash
# Links ./target to a folder in the user's cache, so that a fresh clone finds the dependencies built already.
#
# A CARGO_TARGET_DIR, a ./target that is a real folder, and a link to somewhere else are left alone.
#
# One clone at a time owns the folder. Cargo knows the members of a workspace by their place in it and judges them by
# the times of their files, so it would take what one clone built for up to date in another. A clone that takes the
# folder over therefore takes the link away from the owner before it, and has all members built anew.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -n ${CARGO_TARGET_DIR:-}${CARGO_BUILD_TARGET_DIR:-} ]]; then exit 0; fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/keda-rs
toolchain=$(sha256sum rust-toolchain.toml | cut -c 1-12)
folder=$cache/target-$toolchain
if [[ -L target && $(readlink target) != "$cache"/target-* ]]; then exit 0; fi
if [[ -e target && ! -L target ]]; then exit 0; fi

mkdir -p "$folder"
exec 9> "$folder/.owner-lock"
flock 9

# Path, inode and birth: a clone that was deleted and made again at the same place is another one.
clone=$(pwd -P)
identity=$(stat --format '%i %W' .)
owner='' owner_identity=''
if [[ -e $folder/.owner ]]; then
    { read -r owner && read -r owner_identity; } < "$folder/.owner" || true
fi
if [[ $owner != "$clone" || $owner_identity != "$identity" ]]; then
    # A build of the owner that is under way is waited for.
    for lock in "$folder"/{*,*/*}/.cargo-*lock; do
        if [[ -e $lock ]]; then flock "$lock" true; fi
    done
    if [[ -n $owner && $owner != "$clone" && $(readlink "$owner/target" || true) == "$folder" ]]; then
        rm "$owner/target"
    fi
    # The names of all members begin like this, and no other's does.
    rm -rf "$folder"/{*,*/*}/.fingerprint/keda-*
    printf '%s\n' "$clone" "$identity" > "$folder/.owner"
fi
ln -sfn "$folder" target
