#!/usr/bin/env bash
# Installs the charts into the cluster in use and waits until the operator is ready; again, it upgrades them.
#   install.sh          both
#   install.sh crds     the kinds alone
# Variables: OPERATOR_NAMESPACE (mle-dojo-system), HELM_FLAGS (more flags for the operator's chart); where KUBECONFIG is
# the caller's own, IMAGE (the operator's image, which that cluster can pull)
set -euo pipefail
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/render.sh"
own=true
! callers_own || own=false
! $own || [ -f "$STATE/$MARK" ] || fail "nothing is up in $STATE: 'make cluster-up' first"
eval "$("$HERE/cluster.sh" env)"
OPERATOR_NAMESPACE=${OPERATOR_NAMESPACE:-mle-dojo-system}

# The chart's user writes to it. A volume whose claim went with its namespace takes no other one.
archive_volume() {
    mkdir -p "$STATE/archive"
    chown 65532:65532 "$STATE/archive"
    chmod 700 "$STATE/archive"
    if [ "$(kubectl get pv mle-dojo-archive --ignore-not-found --output jsonpath='{.status.phase}')" = Released ]; then
        kubectl delete pv mle-dojo-archive >/dev/null
    fi
    render archive.yaml | kubectl apply --server-side --filename - >/dev/null
}

# upgrade RELEASE CHART [FLAGS...]: ours wins over what an earlier run or a hand has left on a cluster of our own
upgrade() {
    local release=$1 chart=$2 status
    shift 2
    status=$(helm status "$release" --namespace "$OPERATOR_NAMESPACE" --output json 2>/dev/null || true)
    if grep -q '"status":"pending' <<<"$status"; then
        say "an earlier installation of $release was cut off: starting it afresh"
        helm uninstall "$release" --namespace "$OPERATOR_NAMESPACE" --no-hooks --wait >/dev/null
    fi
    $own && set -- --take-ownership --force-conflicts "$@"
    helm upgrade --install "$release" "$PROJECT/charts/$chart" --namespace "$OPERATOR_NAMESPACE" \
        --hide-notes --timeout 5m "$@" >/dev/null
}

what_went_wrong() {
    kubectl --namespace "$OPERATOR_NAMESPACE" describe pods
    kubectl --namespace "$OPERATOR_NAMESPACE" logs deployment/mle-dojo-operator --tail=30
    fail "the operator did not become ready; its pods and its log are above"
} >&2

operator_flags() { # into `flags`
    if $own; then
        flags=(--values "$HERE/values.yaml")
        # The tag stays the same when the program changes, and the pod must not.
        flags+=(--set-string "podAnnotations.mledojo\.dev/program=$(sha256sum <"$DOJO_BINARY" | cut -c 1-16)")
        return
    fi
    [ -n "${IMAGE:-}" ] || fail "KUBECONFIG is your own cluster: set IMAGE to an image of the operator that it can pull"
    case $IMAGE in
    *@sha256:*) flags=(--set "image.repository=${IMAGE%@*},image.digest=${IMAGE##*@}") ;;
    *:*) flags=(--set "image.repository=${IMAGE%:*}" --set-string "image.tag=${IMAGE##*:}") ;;
    *) fail "IMAGE=$IMAGE has neither tag nor digest: registry/name:tag or registry/name@sha256:… is wanted" ;;
    esac
    flags+=(--set archive.volume.type=EmptyDir)
}

# Under the Pod Security that the README promises.
kubectl create namespace "$OPERATOR_NAMESPACE" --dry-run=client --output yaml |
    kubectl apply --server-side --filename - >/dev/null
kubectl label --overwrite namespace "$OPERATOR_NAMESPACE" pod-security.kubernetes.io/enforce=restricted >/dev/null
upgrade mle-dojo-crds mle-dojo-crds
[ "${1:-}" != crds ] || exit 0
flags=()
operator_flags
! $own || archive_volume
# shellcheck disable=SC2206 # flags of the caller, several words
flags+=(${HELM_FLAGS:-})
upgrade mle-dojo mle-dojo-operator --wait "${flags[@]}" || what_went_wrong
say "the operator is ready in $OPERATOR_NAMESPACE"
