#!/usr/bin/env bash
# Builds a static binary and lays out the root folder of an image from scratch; prints that folder.
#
# It holds the binary under the names of KEDA's three programs, and CA certificates. An argument names the profile of
# cargo, `release` by default; CA_CERTIFICATES names another file of CAs.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-release}
authorities=${CA_CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}

if [[ ! -f $authorities ]]; then
    echo "There are no CA certificates at $authorities; name a file with CA_CERTIFICATES." >&2
    exit 1
fi
# With --target, the flags do not reach build scripts and macros, and the other builds keep their artifacts. The C library
# resolves names by itself: since 2.34 its resolver needs no shared object.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --quiet --profile "$profile" --target "$host" --package keda --bin keda >&2
folder=$profile
[[ $profile == dev ]] && folder=debug
binary=$target/$host/$folder/keda
if readelf --program-headers "$binary" | grep -q INTERP; then
    echo "$binary still asks for a dynamic linker." >&2
    exit 1
fi

image=$target/image
rm -rf "$image"
mkdir -p "$image/etc/ssl/certs"
cp "$binary" "$image/keda"
ln -s keda "$image/keda-adapter"
ln -s keda "$image/keda-admission-webhooks"
cp "$authorities" "$image/etc/ssl/certs/ca-certificates.crt"
printf '%s\n' "$image"
