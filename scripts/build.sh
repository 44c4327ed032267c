#!/usr/bin/env bash
# Builds with a profile of cargo, and puts what was built where cargo puts it without --target:
#
#   scripts/build.sh PROFILE [--quiet] [--bin NAME]… [--example NAME]…
#
# What is built is static where the C library can be, so that what is tested is what an image from scratch holds. It
# resolves names by itself: since 2.34 its resolver needs no shared object.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=$1
shift
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}

static=-crt-static
if ${CC:-cc} -static -x c -o /dev/null - <<< 'int main(void) { return 0; }' 2> /dev/null; then
    static=+crt-static
else
    echo 'There is no static C library (libc.a) on this machine; the binary will need its shared ones.' >&2
fi
flags="-C target-feature=$static"
# What many run has its place in memory for good, as Go's programs do: to move everything at the start would leave 3 MiB
# more in memory.
if [[ $static == +* && $profile == dist ]]; then flags+=' -C relocation-model=static'; fi
# With --target, the flags do not reach build scripts and macros. Always the whole workspace: a part of it has other
# features, and its dependencies would be built once more.
RUSTFLAGS="${RUSTFLAGS:-} $flags" \
    cargo build --profile "$profile" --target "$host" --workspace "$@"

mkdir -p "$target/$profile/examples"
while (($# > 0)); do
    case $1 in
        --bin) ln -f "$target/$host/$profile/$2" "$target/$profile/$2" ;;
        --example) ln -f "$target/$host/$profile/examples/$2" "$target/$profile/examples/$2" ;;
    esac
    shift
done
