#!/usr/bin/env bash
# Raises the cluster, or what of it is not running. `cluster.sh` holds the lock and says what the variables are.
set -euo pipefail
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/packages.sh"
. "$(dirname "$0")/lib/render.sh"
. "$(dirname "$0")/lib/images.sh"
. "$(dirname "$0")/up/pki.sh"
. "$(dirname "$0")/up/namespaces.sh"
. "$(dirname "$0")/up/control-plane.sh"
. "$(dirname "$0")/up/images.sh"
. "$(dirname "$0")/up/node.sh"
. "$(dirname "$0")/up/gpus.sh"
. "$(dirname "$0")/up/services.sh"
export KUBECONFIG=$OUR_KUBECONFIG PATH=$BIN:$PATH

# The number of nodes: as asked; else those that run already; else one, or none for somebody who is not root.
number_of_nodes() {
    local started
    started=$(find "$STATE/pids" -name 'kubelet*' 2>/dev/null | wc -l)
    if [ -n "${NODES:-}" ]; then
        [[ $NODES =~ ^[0-9]$ ]] || fail "NODES=$NODES: a number from 0 (control plane only) to 9 is wanted"
        [ "$NODES" = 0 ] || [ "$(id -u)" = 0 ] ||
            skip "nodes need root (namespaces, mounts and cgroups for containers): run as root, or with NODES=0"
        echo $((NODES > started ? NODES : started))
    elif [ "$(id -u)" = 0 ]; then
        echo $((started > 0 ? started : 1))
    else
        echo 0
    fi
}

prepare() { # prepare NODES
    [ "$(uname -s)" = Linux ] || skip "a Kubernetes node needs Linux, and this is $(uname -s)"
    need openssl=openssl procps=pgrep
    if [ "$1" -gt 0 ]; then
        need iproute2=ip nftables=nft
        "$HERE/build.sh"
        "$HERE/images.sh"
    else
        "$HERE/build.sh" kubernetes helm
    fi
}

# What a killed cluster left is no base for a new one: its containers are gone, and its database was never synced.
claim_state() {
    if [ -e "$STATE" ] && [ -n "$(ls -A "$STATE")" ]; then
        [ -f "$STATE/$MARK" ] || fail "$STATE is not empty and no cluster's: set CLUSTER_DIR to another folder"
        still_there || {
            say "the last cluster in $STATE did not end in order: starting afresh"
            "$HERE/down.sh"
        }
    fi
    [ "$(id -u)" != 0 ] || holder >/dev/null || refuse_taken_addresses
    mkdir -p "$STATE"/{pids,logs,cni,pki}
    # Pods with a user namespace pass through the folder; the keys are nobody else's.
    chmod 711 "$STATE"
    chmod 700 "$STATE"/{pki,logs}
    touch "$STATE/$MARK"
}

main() {
    local nodes started=$SECONDS number
    nodes=$(number_of_nodes)
    [[ ${GPUS:-0} =~ ^[0-9]+(,[0-9]+)*$ ]] || fail "GPUS=$GPUS: a number for each node is wanted, as in GPUS=2,4"
    prepare "$nodes"
    claim_state
    if [ "$(id -u)" = 0 ]; then namespaces; else ln -sfn "$BIN" "$STATE/bin"; fi
    control_plane
    say "control plane ready after $((SECONDS - started)) s"
    if [ "$nodes" -gt 0 ]; then
        render cni.json >"$STATE/cni/10-dojo.conflist"
        echo "nameserver $DNS_IP" >"$STATE/resolv.conf"
        for number in $(seq "$nodes"); do start_node "$number"; done
        services
        for number in $(seq "$nodes"); do
            await_node "$number"
            [ -z "${GPUS:-}" ] || give_gpus "$number"
        done
        say "$nodes node(s) ready after $((SECONDS - started)) s"
    fi
    say "next: eval \"\$(tests/cluster/cluster.sh env)\" && kubectl get nodes"
}

main
