#!/usr/bin/env bash
# Everything that `make test` runs: each suite with its time, a table at the end, exit code 1 if one failed.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

names=() seconds=() verdicts=()
failed=0

suite() { # suite NAME COMMAND...
    local name=$1 started=$SECONDS
    shift
    printf '\n=== %s: %s\n' "$name" "$*"
    if "$@"; then verdicts+=(passed); else verdicts+=(FAILED); failed=$((failed + 1)); fi
    names+=("$name")
    seconds+=($((SECONDS - started)))
}

# The quickstart as a new user runs it, in a folder of its own: no earlier run can stand in for this one.
quickstart() {
    local out
    out=$(mktemp -d)
    # Executed code runs under another user where the runner is root.
    chmod 755 "$out"
    cargo run --release --locked -- run manifests/quickstart --out "$out/runs" &&
        "$PYTHON" tests/quickstart_check.py "$out/runs"
    local code=$?
    rm -rf "$out"
    return $code
}

suite format cargo fmt --check
suite clippy cargo clippy --all-targets --locked -- -D warnings
suite rust cargo test --locked --no-fail-fast
suite reference make --no-print-directory reference
suite quickstart quickstart

printf '\n%-12s %8s  %s\n' SUITE SECONDS VERDICT
for i in "${!names[@]}"; do
    printf '%-12s %8d  %s\n' "${names[$i]}" "${seconds[$i]}" "${verdicts[$i]}"
done
printf '\n%d passed, %d failed\n' $((${#names[@]} - failed)) "$failed"
exit $((failed > 0))
