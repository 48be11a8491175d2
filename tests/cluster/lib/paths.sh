# shellcheck shell=bash disable=SC2034 # read by the files that source this one
# Where everything lives, and the addresses of the cluster.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)

# Outside the clone, so that a second clone builds nothing. The digest names the versions of everything.
CACHE=${DOJO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mle-dojo}/cluster
DIGEST=$(cat "$HERE"/modules/*/go.sum | sha256sum | cut -c 1-16)
BIN=$CACHE/$DIGEST/bin

# Everything that a running cluster writes; `down` deletes it whole.
STATE=$(realpath -m "${CLUSTER_DIR:-$PROJECT/.cluster}")
MARK=is-a-cluster # without it `down` deletes nothing
OUR_KUBECONFIG=$STATE/kubeconfig
AUDIT_LOG=$STATE/logs/audit.log
DOJO_BINARY=${DOJO_BINARY:-$PROJECT/target/static/dojo}

# A cluster that the caller chose is used as it is.
callers_own() { [ -n "${KUBECONFIG:-}" ] && [ "$(realpath -m "$KUBECONFIG")" != "$OUR_KUBECONFIG" ]; }

# Another slot lets a second clone have a cluster of its own at the same time.
SLOT=${CLUSTER_SLOT:-0}
LINK=dojo$SLOT                # this machine's end of the cable to the cluster
NET=10.88.$((77 + SLOT))      # nodes and pods share one bridge
HOST_IP=$NET.2                # this machine as pods and the API server see it
SERVICE_NET=10.$((96 + SLOT)) # ClusterIPs
DNS_IP=$SERVICE_NET.0.10
CGROUP=mle-dojo-$SLOT

if [ "$(id -u)" = 0 ]; then
    IN=/run/dojo   # the state folder as processes inside see it: short, since a socket's path has 107 characters
    NODE_IP=$NET.1 # control plane and first node, also the pods' gateway
    PORT_SHIFT=0
else
    # Control plane only, on the loopback of this machine, whose usual ports may be taken.
    IN=$STATE
    NODE_IP=127.0.0.1
    PORT_SHIFT=$((20000 + 10 * SLOT))
fi
API=https://$NODE_IP:$((6443 + PORT_SHIFT))
