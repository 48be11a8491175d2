#!/usr/bin/env bash
# The operator's tests on a real cluster: a new one of their own beside any other, under the rights of the chart; it is
# gone at the end, whatever the end is.
#   test.sh                  everything: two nodes with 2 and 4 GPUs, pods, the operator killed, uninstalled
#   test.sh control-plane    what needs no pods, and no root
# Variables: those of cluster.sh; KEEP=1 leaves the cluster. With a KUBECONFIG of your own: IMAGE, the operator's image.
# Exit code 77: this machine cannot run it, for the reason printed.
set -euo pipefail
binary=${DOJO_BINARY:-}
export CLUSTER_DIR=${CLUSTER_DIR:-$(dirname "$0")/../../.cluster-test}
export CLUSTER_SLOT=${CLUSTER_SLOT:-5}
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
cd "$PROJECT"
export CLUSTER_DIR=$STATE

steps=()
step() { # step NAME COMMAND...
    local name=$1 started=$SECONDS
    shift
    say "$name"
    "$@" || exit
    steps+=("$(printf '%6d s  %s' $((SECONDS - started)) "$name")")
}

finish() {
    local code=$?
    if $raised && [ "${KEEP:-}" != 1 ]; then tests/cluster/cluster.sh down || true; fi
    [ ${#steps[@]} = 0 ] || printf 'cluster: %s\n' "${steps[@]}" >&2
    exit $code
}
raised=false
trap finish EXIT
trap 'exit 130' INT TERM

up() { # up NODES
    raised=true
    # What a killed run has left is no base for a test.
    tests/cluster/cluster.sh down 2>/dev/null
    NODES=$1 GPUS=2,4 GPU_PRODUCTS=NVIDIA-A100-SXM4-80GB,NVIDIA-H100-80GB-HBM3 tests/cluster/cluster.sh up
}

# Figures that the tests print are wanted from the good ones as well.
tests() { cargo test --locked --test operator -- --ignored --show-output "$@"; }

install() { HELM_FLAGS="--set episodes.startPatience=20s,episodes.retryDelay=2s ${HELM_FLAGS:-}" tests/cluster/cluster.sh install "$@"; }

export DOJO_OPERATOR_NAMESPACE=${OPERATOR_NAMESPACE:-mle-dojo-system}
if [ "${1:-}" = control-plane ]; then
    if ! callers_own; then
        step "binaries of the control plane" tests/cluster/cluster.sh build kubernetes helm
        step "control plane" up 0
    fi
    eval "$(tests/cluster/cluster.sh env)"
    step "the kinds" install crds
    step "tests of the control plane" tests control_plane
    exit
fi

if callers_own; then
    [ -n "${IMAGE:-}" ] || skip "KUBECONFIG is your own cluster: set IMAGE to an image of the operator that it can pull"
else
    [ "$(id -u)" = 0 ] || skip "nodes need root (namespaces, mounts and cgroups for containers)"
    step "binaries of the cluster" tests/cluster/cluster.sh build
    step "cluster, with the images of its nodes" up 2
    [ -n "$binary" ] || step "static binary" make --no-print-directory static
    step "image of the operator" tests/cluster/cluster.sh operator
    export CLUSTER_SH=$HERE/cluster.sh AUDIT_LOG
fi
eval "$(tests/cluster/cluster.sh env)"
step "charts" install
step "tests" tests --test-threads=4 --skip uninstall
# Last, and alone: no operator is left after it.
step "tests of uninstalling" env DOJO_TEST_UNINSTALL=1 cargo test --locked --test operator -- --ignored --show-output uninstall
