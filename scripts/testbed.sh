#!/usr/bin/env bash
# Builds the test bed, a Kubernetes control plane that runs on this machine, and prints the folder of its binaries.
#
# It is built once for each state of its sources, into the user's cache; `$(scripts/testbed.sh)/testbed up` brings it
# up.
set -euo pipefail
cd "$(dirname "$0")/../testbed"

# The version that the binaries tell is set when they are linked; without it no client could read it.
kubernetes=$(sed -nE 's|^\s*k8s.io/kubernetes (v[0-9.]+).*|\1|p' go.mod)
IFS=. read -r major minor _ <<< "${kubernetes#v}"
version=k8s.io/component-base/version
flags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=$major -X $version.gitMinor=$minor"
flags+=" -X $version.gitTreeState=clean"

hash=$({ printf '%s\n' "$flags"; find . -name '*.go' -o -name '*.yaml' -o -name go.mod -o -name go.sum | LC_ALL=C sort |
    xargs sha256sum; } | sha256sum | cut -c 1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/keda-rs
folder=$cache/testbed-$hash

if [[ ! -d $folder ]]; then
    mkdir -p "$cache"
    exec 9> "$cache/.testbed-lock"
    flock 9
fi
# Another run may have built it in the meantime.
if [[ ! -d $folder ]]; then
    if ! command -v go > /dev/null; then
        echo 'The test bed is written in Go: install Go (see testbed/go.mod for the version) and try again.' >&2
        exit 1
    fi
    echo "Building the test bed into $folder; the first time takes several minutes." >&2
    new=$(mktemp -d "$cache/.testbed-XXXXXX")
    trap 'rm -rf "$new"' EXIT
    CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$new/" . sigs.k8s.io/kwok/cmd/kwok >&2
    mv -T "$new" "$folder"
    # The binaries are large: those of older sources are of use to few.
    find "$cache" -maxdepth 1 -name 'testbed-*' -mtime +14 -exec rm -rf {} +
    echo 'Built the test bed.' >&2
fi
printf '%s\n' "$folder"
