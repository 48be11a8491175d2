# shellcheck shell=bash
# Processes on record. Each has a file with its PID and start time, so that a PID that the kernel gave to somebody else
# is never taken for ours.
#
# As root the cluster has network, mount and PID namespaces of its own; PIDs are those inside, and the end of the
# holder, which is PID 1 there, is the end of all of them. Without root there is no holder, and PIDs are the machine's.

# The start time of a process, in clock ticks since boot: field 22, counted after the name, which may hold spaces.
# A zombie has none: it has ended, and only waits for its parent to look.
start_time() { # start_time PROC PID
    local stat fields
    stat=$(cat "$1/$2/stat" 2>/dev/null) || return 1
    read -ra fields <<<"${stat##*) }"
    [ "${fields[0]}" != Z ] && echo "${fields[19]}"
}

on_record() { # on_record PROC FILE: prints the PID if that very process is running
    local pid started
    read -r pid started 2>/dev/null <"$2" || return 1
    [ "$(start_time "$1" "$pid")" = "$started" ] && echo "$pid"
}

holder() { on_record /proc "$STATE/holder"; }

# The folder where the cluster's processes are seen from here.
proc() {
    local pid
    if pid=$(holder); then echo "/proc/$pid/root/proc"; else echo /proc; fi
}

inside() {
    local pid
    if pid=$(holder); then nsenter --target "$pid" --net --mount --pid -- "$@"; else "$@"; fi
}

alive() { on_record "$(proc)" "$STATE/pids/$1" >/dev/null; }

# start NAME COMMAND...: in the background, unless it runs already
start() {
    local name=$1 pid
    alive "$name" && return
    shift
    # shellcheck disable=SC2016 # the inner shell expands these
    pid=$(inside bash -c 'log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null & echo $!' - "$IN/logs/$name.log" "$@")
    echo "$pid $(start_time "$(proc)" "$pid")" >"$STATE/pids/$name"
}

# stop NAME: asks, and insists after ten seconds
stop() {
    local record=$STATE/pids/$1 pid
    pid=$(on_record "$(proc)" "$record") || return 0
    inside kill "$pid" || true
    for _ in $(seq 100); do
        on_record "$(proc)" "$record" >/dev/null || return 0
        sleep 0.1
    done
    inside kill -KILL "$pid" || true
}

# await NAME SECONDS COMMAND...: until the command succeeds; a process that dies or takes too long ends everything
await() {
    local name=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! alive "$name"; then
            tail -n 10 "$STATE/logs/$name.log" >&2
            fail "$name died; its last lines are above, all of them in $STATE/logs/$name.log"
        fi
        [ $SECONDS -lt $deadline ] ||
            fail "$name is not ready in time ($*); see $STATE/logs/$name.log, or start afresh with 'make cluster-down'"
        sleep 0.2
    done
}

# The cluster on record has not died as a whole, by a restart of the machine for instance.
still_there() {
    local record
    if [ -f "$STATE/holder" ]; then
        holder >/dev/null
        return
    fi
    for record in "$STATE"/pids/*; do on_record /proc "$record" >/dev/null && return; done
    return 1
}
