#!/usr/bin/env bash
# Everything that `make test` runs: each suite with its time, a table at the end, exit code 1 if one failed. A suite that
# this machine cannot run exits with 77 and is skipped, with the reason in the table.
# shellcheck disable=SC2317,SC2329 # functions are run by `suite`
set -uo pipefail
cd "$(dirname "$0")/.." || exit
PYTHON=${PYTHON:-python3}

names=() seconds=() verdicts=()
passed=0 failed=0 skipped=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Executed code runs under another user where the runner is root.
chmod 755 "$scratch"
export SKIP_REASON=$scratch/reason

suite() { # suite NAME COMMAND...
    local name=$1 started=$SECONDS code
    shift
    printf '\n=== %s: %s\n' "$name" "$*"
    : >"$SKIP_REASON"
    "$@"
    code=$?
    case $code in
    0) passed=$((passed + 1)) verdicts+=(passed) ;;
    77) skipped=$((skipped + 1)) verdicts+=("skipped: $(cat "$SKIP_REASON")") ;;
    *) failed=$((failed + 1)) verdicts+=(FAILED) ;;
    esac
    names+=("$name")
    seconds+=($((SECONDS - started)))
}

# The quickstart as a new user runs it, in a folder of its own: no earlier run can stand in for this one. Its rewards are
# what the cluster's are held against.
quickstart() {
    cargo run --release --locked -- run manifests/quickstart --out "$scratch/runs" &&
        "$PYTHON" tests/quickstart_check.py "$scratch/runs" &&
        export DOJO_QUICKSTART_RUNS=$scratch/runs
}

suite format cargo fmt --check
suite clippy cargo clippy --all-targets --locked -- -D warnings
suite rust cargo test --locked --no-fail-fast
suite reference make --no-print-directory reference
suite quickstart quickstart
suite chart tests/chart.sh
# Without root there are no nodes; what needs none is run all the same.
[ "$(id -u)" = 0 ] || suite control-plane tests/cluster/test.sh control-plane
suite cluster tests/cluster/test.sh

printf '\n%-13s %8s  %s\n' SUITE SECONDS VERDICT
for i in "${!names[@]}"; do
    printf '%-13s %8d  %s\n' "${names[$i]}" "${seconds[$i]}" "${verdicts[$i]}"
done
printf '\n%d passed, %d failed, %d skipped\n' $passed $failed $skipped
exit $((failed > 0))
