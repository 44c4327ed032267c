#!/usr/bin/env bash
# Builds the static binary and lays out the root folder of an image from scratch; prints that folder.
#
# It holds the binary under the names of KEDA's three programs, and CA certificates. An argument names the profile of
# cargo, `dist` by default, which takes some minutes; CA_CERTIFICATES names another file of CAs.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-dist}
authorities=${CA_CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
target=${CARGO_TARGET_DIR:-target}

if [[ ! -f $authorities ]]; then
    echo "There are no CA certificates at $authorities; name a file with CA_CERTIFICATES." >&2
    exit 1
fi
scripts/build.sh "$profile" --bin keda >&2
binary=$target/$profile/keda
if readelf --program-headers "$binary" | grep -q INTERP; then
    echo "$binary asks for a dynamic linker: the C library of this machine cannot be linked statically." >&2
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
