#!/usr/bin/env bash
# A real Kubernetes on this machine, from pinned sources; see README.md beside this file.
#
#   cluster.sh up            raise it, or what of it is not running
#   cluster.sh down          end it and delete its state
#   cluster.sh status        what runs
#   cluster.sh env           shell lines that put kubectl, helm and KUBECONFIG in place:  eval "$(… env)"
#   cluster.sh operator      build the operator's image around DOJO_BINARY and load it into every node
#   cluster.sh install       both charts, with values for tests; into the caller's own cluster with IMAGE=…
#   cluster.sh load FILE     load an image archive into every node
#   cluster.sh inside CMD    run a command in the cluster's namespaces
#   cluster.sh build [SET]   build the binaries of a set alone, such as kwok, kueue or dra
#
# Variables: NODES GPUS GPU_PRODUCTS CLUSTER_DIR CLUSTER_SLOT DOJO_CACHE DEBIAN_MIRROR DOJO_BINARY IMAGE HELM_FLAGS
#            APISERVER_FLAGS CONTROLLER_FLAGS KUBELET_FLAGS
# Exit code 77: this machine cannot run it, for the reason printed; a test runner takes it as skipped.
set -euo pipefail
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/images.sh"

# One command at a time changes the cluster. The lock is not passed on, or the cluster's processes would hold it.
locked() {
    mkdir -p "$CACHE"
    flock --close "$CACHE/slot-$SLOT.lock" "$@"
}

load() { # load FILE
    local record number
    [ -f "$1" ] || fail "$1 does not exist: an image archive as 'buildah push' or 'docker save' writes it is wanted"
    for record in "$STATE"/pids/containerd*; do
        [ -f "$record" ] || fail "no node runs here: 'make cluster-up' first"
        number=${record##*containerd}
        in_containerd "$number" images import - <"$1" >/dev/null
    done
}

operator() {
    local archive
    archive=$(mktemp --suffix .tar)
    # shellcheck disable=SC2064 # the name as it is now
    trap "rm -f '$archive'" EXIT
    "$HERE/images.sh" operator "$DOJO_BINARY" "$archive"
    load "$archive"
    say "localhost/mle-dojo-operator:dev is on every node"
}

command=${1:-}
[ $# = 0 ] || shift
case $command in
up)
    if callers_own; then
        say "KUBECONFIG is set: $KUBECONFIG is the cluster in use, and none is raised here"
    else
        locked "$HERE/up.sh"
    fi
    ;;
down) locked "$HERE/down.sh" ;;
status) "$HERE/status.sh" ;;
env)
    callers_own || echo "export KUBECONFIG='$OUR_KUBECONFIG'"
    echo "export PATH='$BIN':\"\$PATH\""
    ;;
operator) operator ;;
install) "$HERE/install.sh" "$@" ;;
load) load "$@" ;;
inside) inside "$@" ;;
build) "$HERE/build.sh" "$@" ;;
*)
    sed -n '/^#   cluster/s/^# //p' "$0" >&2
    exit 2
    ;;
esac
