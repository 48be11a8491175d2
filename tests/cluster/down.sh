#!/usr/bin/env bash
# Ends the cluster's own processes and deletes its state; binaries and images stay in the cache.
set -euo pipefail
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
. "$(dirname "$0")/lib/process.sh"

# With namespaces, the end of their PID 1 is the end of every process, mount and interface inside.
end_holder() {
    local pid
    pid=$(holder) || return 0
    kill -KILL "$pid"
    # It is gone only after everything inside is.
    until ! holder >/dev/null; do sleep 0.1; done
}

# The kernel takes the cable away after the namespace; the name must be free for the next cluster.
unplug_cable() {
    [ "$(ip link show "$LINK" 2>/dev/null | sed -n 's/.*alias //p')" = "$STATE" ] || return 0
    ip link delete "$LINK" 2>/dev/null || true
}

remove_cgroups() {
    local path
    for path in /sys/fs/cgroup/"$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
        [ -d "$path" ] || continue
        # A group stays busy for a moment after its last process.
        for _ in $(seq 50); do
            find "$path" -depth -type d -exec rmdir {} + 2>/dev/null || true
            [ -d "$path" ] || break
            sleep 0.1
        done
        [ ! -d "$path" ] || say "$path is still in use and was left"
    done
}

if [ ! -f "$STATE/$MARK" ]; then
    say "nothing is up in $STATE"
    exit 0
fi
if [ -f "$STATE/holder" ]; then
    end_holder
    unplug_cable
    remove_cgroups
else
    for record in "$STATE"/pids/*; do stop "$(basename "$record")"; done
fi
rm -rf --one-file-system "$STATE"
say "down; nothing of it is left"
