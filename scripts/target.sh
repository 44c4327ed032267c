#!/usr/bin/env bash
# Links ./target to a folder in the user's cache, so that a fresh clone finds built what others built from the same files.
#
#   scripts/target.sh        makes this clone the owner of the folder
#   scripts/target.sh keep   writes down what the owner's files are like, for when it is deleted
#
# A CARGO_TARGET_DIR, a ./target that is a real folder, and a link to somewhere else are left alone.
#
# One clone at a time owns the folder. Cargo knows the members of a workspace by their place in it and judges them by
# the times of their files, so what one clone built would be taken for up to date in another. A clone that takes the
# folder over therefore takes the link away from the owner before it, and gives its own files the times that tell the
# truth: those of the owner's where they are the same, and the present where they are not.
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

# Lines of `PATH<TAB>SHA-256<TAB>TIME` for all files of the current folder. What is written to a file meanwhile gets a
# time that is too late rather than one that is too early.
inventory() {
    local paths hashes times
    mapfile -d '' paths < <(find . \( -path ./target -o -path ./.git \) -prune -o -type f -print0 | sort -z)
    mapfile -t hashes < <(sha256sum -- "${paths[@]}" | cut -c 1-64)
    mapfile -t times < <(stat --format %.9Y -- "${paths[@]}")
    # One that is deleted meanwhile would move those after it.
    ((${#hashes[@]} == ${#paths[@]} && ${#times[@]} == ${#paths[@]})) || return 1
    paste <(printf '%s\n' "${paths[@]}") <(printf '%s\n' "${hashes[@]}") <(printf '%s\n' "${times[@]}")
}

# The inventory of the owner. It fails if that was deleted after it built something that nobody wrote down.
inventory_of_owner() {
    if [[ $(identity_of "$owner") == "$owner_identity" ]]; then
        (cd "$owner" && inventory)
        return
    fi
    local later
    later=$(find "$folder"/{*,*/*}/.fingerprint/keda-* -newer "$folder/.files" -print -quit 2> /dev/null || true)
    if [[ -n $later ]]; then return 1; fi
    cat "$folder/.files" 2> /dev/null
}

# Gives the files of this clone the times of those in an inventory. One that is written to meanwhile keeps its own.
take_times() {
    local path hash time before
    local -A times
    while IFS=$'\t' read -r path hash time; do times[$path $hash]=$time; done
    inventory | while IFS=$'\t' read -r path hash before; do
        if [[ $(stat --format %.9Y -- "$path") == "$before" ]]; then
            time=${times[$path $hash]:-}
            touch -d "${time:+@}${time:-now}" -- "$path" || exit 1
        fi
    done
}

# Inode and birth: a clone that was deleted and made again at the same place is another one.
identity_of() {
    stat --format '%i %W' -- "$1" 2> /dev/null || true
}

clone=$(pwd -P)
identity=$(identity_of .)
owner='' owner_identity=''
if [[ -e $folder/.owner ]]; then
    { read -r owner && read -r owner_identity; } < "$folder/.owner" || true
fi
is_owner=false
if [[ $owner == "$clone" && $owner_identity == "$identity" ]]; then is_owner=true; fi

if [[ ${1:-} == keep ]]; then
    if $is_owner; then
        inventory > "$folder/.files.new"
        mv "$folder/.files.new" "$folder/.files"
    fi
    exit 0
fi

if ! $is_owner; then
    # A build of the owner that is under way is waited for.
    for lock in "$folder"/{*,*/*}/.cargo-*lock; do
        if [[ -e $lock ]]; then flock "$lock" true; fi
    done
    if [[ -n $owner && $owner != "$clone" && $(readlink "$owner/target" || true) == "$folder" ]]; then
        rm "$owner/target"
    fi
    if ! { files=$(inventory_of_owner) && take_times <<< "$files"; }; then
        # The names of all members begin like this, and no other's does.
        rm -rf "$folder"/{*,*/*}/.fingerprint/keda-*
    fi
    printf '%s\n' "$clone" "$identity" > "$folder/.owner"
fi
ln -sfn "$folder" target
