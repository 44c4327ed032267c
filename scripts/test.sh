#!/usr/bin/env bash
# Runs all tests, from fast to slow, and counts them; the last line reads `N passed, M failed`.
#
# All stages run, also after one that failed. The exit code is 1 if anything failed.
set -euo pipefail
cd "$(dirname "$0")/.."

conformance=../shared/conformance
target=${CARGO_TARGET_DIR:-target}
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log" "$log.messaging"' EXIT

# Every process that a stage starts inherits this, which is how those that stay behind are found.
run=$$-$RANDOM$RANDOM
# Without a server that it needs a test fails instead of passing.
export KEDA_TEST_REQUIRE_SERVERS=1

# stage TITLE COMMAND…: runs the command, shows what it prints, and adds up the tests that it reports.
stage() {
    local title=$1 failed_before=$failed status=0
    shift
    printf '\n== %s (%d s)\n' "$title" "$SECONDS"
    KEDA_TEST_RUN=$run "$@" 2>&1 | tee "$log" || status=1
    # `test result: ok. 3 passed; 0 failed; …` of cargo, `3 passed, 0 failed` of the conformance programs.
    passed=$((passed + $(total 's/^(test result: [A-Za-z]+\. )?([0-9]+) passed[;,] [0-9]+ failed.*/\2/p')))
    failed=$((failed + $(total 's/^(test result: [A-Za-z]+\. )?[0-9]+ passed[;,] ([0-9]+) failed.*/\2/p')))
    skipped=$((skipped + $(total 's/^(.*)\(([0-9]+) skipped\)$/\2/p')))
    if ((status != 0 && failed == failed_before)); then
        echo "$title: ended with an error"
        failed=$((failed + 1))
    fi
}

# The sum of the numbers that a sed script finds in the log.
total() {
    sed -nE "$1" "$log" | awk '{ sum += $1 } END { print sum + 0 }'
}

# The processes that the tests left running; the grep itself is gone when ps is asked.
leftovers() {
    local environment
    for environment in $(grep -lsz "^KEDA_TEST_RUN=$run\$" /proc/[0-9]*/environ); do
        ps -o pid=,args= -p "${environment//[!0-9]/}" || true
    done
}

no_leftovers() {
    local deadline=$((SECONDS + 10))
    until [[ -z $(leftovers) ]]; do
        if ((SECONDS > deadline)); then
            echo 'These processes were left running:'
            leftovers
            return 1
        fi
        sleep 0.2
    done
}

stage 'Unit tests' cargo test --quiet --workspace --lib --bins --no-fail-fast
stage 'Documentation tests' cargo test --quiet --workspace --doc --no-fail-fast
# They mostly wait for servers and workers, so that some at a time do not hinder each other. RabbitMQ alone takes most of a
# minute to be asked everything; the others need not wait for it.
integration_tests() {
    local all=(cargo test --quiet --workspace --test '*' --no-fail-fast) status=0
    "${all[@]}" --no-run
    "${all[@]}" -- --include-ignored messaging:: > "$log.messaging" 2>&1 &
    "${all[@]}" -- --include-ignored --skip messaging:: --skip quickstart:: --skip chroot:: --skip cluster:: \
        --test-threads 4 || status=1
    wait $! || status=1
    cat "$log.messaging"
    return "$status"
}
stage 'Integration tests' integration_tests
stage 'Test bed' scripts/testbed.sh
# The same, with the control plane.
stage 'Cluster tests' cargo test --quiet --workspace --test it --no-fail-fast -- \
    --include-ignored cluster:: --test-threads 8

# Runs what is left with the release build; an older one would tell nothing.
release_stages() {
    if [[ -d $conformance ]]; then
        stage 'Conformance: HPA' "$target/release/examples/conformance" hpa "$conformance/hpa"
        stage 'Conformance: engine' "$target/release/examples/conformance" engine "$conformance/engine"
        stage 'Conformance: triggers' "$conformance/run" --bin "$target/release/keda" --show 5
    else
        printf '\n== Conformance: left out, there is no %s\n' "$conformance"
    fi
    stage 'Fuzzing' "$target/release/examples/fuzz" --cases 60000
    local release
    release=$(realpath "$target")/release
    stage 'Quickstart' env KEDA_TEST_QUICKSTART="$release/examples/quickstart" \
        cargo test --quiet --workspace --test it -- --ignored quickstart::
    stage 'Static binary' env KEDA_TEST_STATIC="$release/keda" \
        cargo test --quiet --workspace --test it -- --ignored chroot::
}

failed_before_build=$failed
stage 'Release build' scripts/build.sh release --quiet \
    --bin keda --example quickstart --example conformance --example fuzz
if ((failed == failed_before_build)); then
    release_stages
else
    printf '\n== Conformance, fuzzing and quickstart: left out, there is no release build\n'
fi
stage 'Processes left behind' no_leftovers

printf '\nIt took %d s.\n' "$SECONDS"
if ((skipped > 0)); then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
((failed == 0))
