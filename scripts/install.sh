#!/usr/bin/env bash
# install.sh FOLDER: installs what the folder's package.json (npm), pom.xml (Maven) or requirements.txt (PyPI) names into
# the user's cache, once for each state of the folder's files, and prints where. What is there is
#   package.json      node_modules
#   pom.xml           what its `package` phase leaves, such as lib
#   requirements.txt  venv
set -euo pipefail
cd "$1"

name=$(basename "$PWD")
hash=$(find . -maxdepth 1 -type f \( -name 'package*.json' -o -name pom.xml -o -name requirements.txt \) -print0 |
    sort -z | xargs -0 cat | sha256sum | cut -c 1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/keda-rs
folder=$cache/$name-$hash

need() {
    if ! command -v "$1" > /dev/null; then
        echo "$name comes by $1, which is not installed: install $2 and try again." >&2
        exit 1
    fi
}

if [[ ! -d $folder ]]; then
    mkdir -p "$cache"
    exec 9> "$cache/.$name-lock"
    flock 9
fi
# Another run may have installed it in the meantime.
if [[ ! -d $folder ]]; then
    new=$(mktemp -d "$cache/.$name-XXXXXX")
    trap 'rm -rf "$new"' EXIT
    if [[ -e package.json ]]; then
        need npm 'Node with npm'
        cp package.json package-lock.json "$new"
        npm --prefix "$new" ci --ignore-scripts --no-audit --no-fund >&2
    fi
    if [[ -e pom.xml ]]; then
        need mvn 'Maven and a JDK'
        cp pom.xml "$new"
        mvn --quiet --batch-mode --file "$new/pom.xml" package >&2
    fi
    if [[ -e requirements.txt ]]; then
        need python3 'Python with venv'
        # Its programs name the folder in which they were made; they are started as `venv/bin/python -m …`.
        python3 -m venv "$new/venv" >&2
        "$new/venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt >&2
    fi
    mv -T "$new" "$folder"
    find "$cache" -maxdepth 1 -name "$name-*" ! -path "$folder" -mtime +14 -exec rm -rf {} +
fi
printf '%s\n' "$folder"
