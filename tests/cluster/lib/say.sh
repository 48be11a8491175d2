# shellcheck shell=bash
# Messages and exit codes that every command shares.

# "Cannot run here" as opposed to "ran and failed": test runners treat it as skipped (the convention of automake).
readonly SKIPPED=77

say() { printf 'cluster: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# The reason also goes to SKIP_REASON, if that names a file: a test runner puts it into its table.
skip() {
    say "$@"
    [ -z "${SKIP_REASON:-}" ] || echo "$*" >"$SKIP_REASON"
    exit $SKIPPED
}
