# shellcheck shell=bash
# Messages and exit codes that every command shares.

# "Cannot run here" as opposed to "ran and failed": test runners treat it as skipped (the convention of automake).
readonly SKIPPED=77

say() { printf 'cluster: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

skip() {
    say "$@"
    exit $SKIPPED
}
