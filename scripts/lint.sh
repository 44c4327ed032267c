#!/usr/bin/env bash
# Checks the formatting, clippy's findings, and the rules for dependencies in deny.toml; stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_DENY_VERSION=0.20.2

stage() {
    printf '\n== %s (%d s)\n' "$1" "$SECONDS"
}

# The cargo-deny of this version; it is built once, which takes some minutes, and kept in the user's cache.
cargo_deny() {
    local root=${XDG_CACHE_HOME:-$HOME/.cache}/keda-rs/cargo-deny-$CARGO_DENY_VERSION
    if [[ ! -x $root/bin/cargo-deny ]]; then
        env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$root" --version "$CARGO_DENY_VERSION" cargo-deny
    fi
    "$root/bin/cargo-deny" "$@"
}

stage 'Formatting'
# Not cargo fmt: it does not find the trigger files, which a macro includes.
git ls-files -z '*.rs' | xargs -0 rustfmt --check --edition 2024

stage 'Clippy'
cargo clippy --quiet --workspace --all-targets -- -D warnings

stage 'Dependencies'
cargo_deny --workspace check bans licenses sources
