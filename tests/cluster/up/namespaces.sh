# shellcheck shell=bash
# Namespaces of the cluster's own, held by one process, and a cable from this machine to them. The cable's end and its
# two routes are all that this machine sees of the cluster's network.

# The addresses must be free here: a cluster of another folder, or somebody's VPN, may have them.
refuse_taken_addresses() {
    local address route
    if ip link show "$LINK" >/dev/null 2>&1; then
        fail "another cluster is up in $(ip link show "$LINK" | sed -n 's/.*alias //p'):" \
            "stop it there with 'make cluster-down', or take another slot with CLUSTER_SLOT=$((SLOT + 1))"
    fi
    for address in "$NODE_IP" "$SERVICE_NET.0.1"; do
        route=$(ip -4 route show to match "$address" | grep -v ^default || true)
        [ -z "$route" ] || fail "this machine has another use for $address ($route): set CLUSTER_SLOT=1 or higher"
    done
}

# PID 1 of a new PID namespace, as this machine counts: the only child of the process that made the namespace.
open_namespaces() {
    local parent pid
    mkdir -p "$STATE"/{run,bin,images} "$IMAGES"
    setsid unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc \
        "$HERE/up/holder.sh" "$STATE" "$BIN" "$IMAGES" >>"$STATE/logs/holder.log" 2>&1 </dev/null &
    parent=$!
    until pid=$(pgrep -P "$parent") && echo "$pid $(start_time /proc "$pid")" >"$STATE/holder" &&
        [ -f "$STATE/holder.ready" ]; do
        kill -0 "$parent" 2>/dev/null || {
            cat "$STATE/logs/holder.log" >&2
            skip "this machine does not allow namespaces and mounts of our own; the reason is above"
        }
        sleep 0.05
    done
}

plug_cable() {
    ip link add "$LINK" type veth peer name cable netns "$(holder)"
    ip link set "$LINK" alias "$STATE"
    ip address add "$HOST_IP/24" dev "$LINK"
    ip link set "$LINK" up
    # The bridge's address is fixed: else it changes as pods come and go, and neighbours lose it for half a minute.
    inside bash -ec "
        ip link set lo up
        ip link add dojo address 02:00:0a:58:4d:01 type bridge
        ip address add $NODE_IP/24 dev dojo
        ip link set dojo up
        ip link set cable master dojo up
        ip route add default dev dojo
        sysctl -qw net.ipv4.ip_forward=1"
    ip route replace "$SERVICE_NET.0.0/16" via "$NODE_IP" dev "$LINK"
}

namespaces() {
    holder >/dev/null && return
    open_namespaces
    plug_cable
}
