#!/usr/bin/env bash
# The quickstart on a real Kubernetes: raises one, installs the charts, applies the four episodes, shows their rewards
# arriving. Again, it runs them anew on the same cluster. Exit code: 0 all completed, 77 this machine cannot run it.
# Variables: those of cluster.sh, and NAMESPACE (default), where the episodes run. With a KUBECONFIG of your own: IMAGE,
# the operator's image, and TASK_IMAGE, that of the tasks, where that cluster can pull them.
set -euo pipefail
binary=${DOJO_BINARY:-} image=${TASK_IMAGE:-}
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
. "$(dirname "$0")/lib/images.sh"
cd "$PROJECT"
NAMESPACE=${NAMESPACE:-default}
QUICKSTART=manifests/quickstart
PATIENCE=600

started=$SECONDS
step() { printf '\n=== %s (after %d s)\n' "$*" $((SECONDS - started)); }
k() { kubectl --namespace "$NAMESPACE" "$@"; }

quickstart() {
    kubectl kustomize "$QUICKSTART" | sed "s|image: $TASK_IMAGE|image: ${image:-$TASK_IMAGE}|"
}

phases=
look() { phases=$(k get episodes "${episodes[@]}" --output jsonpath='{range .items[*]}{.status.phase}{"\n"}{end}'); }
count() { grep -cxE "$1" <<<"$phases" || true; } # count PHASES

# On a terminal the table is drawn over itself; elsewhere it is printed when anything but an age has changed.
drawn=0 before=
draw() {
    local table=$1 now
    if [ -t 1 ]; then
        [ "$drawn" = 0 ] || printf '\033[%dA\033[J' "$drawn"
        # A line that wraps would be two.
        cut -c "1-$(tput cols 2>/dev/null || echo 120)" <<<"$table"
        drawn=$(wc -l <<<"$table")
        return
    fi
    # shellcheck disable=SC2001 # of every line
    now=$(sed 's/ *[^ ]*$//' <<<"$table")
    [ "$now" != "$before" ] || return 0
    before=$now
    printf '%s\n\n' "$table"
}

follow() {
    local deadline=$((SECONDS + PATIENCE)) table
    while [ $SECONDS -lt $deadline ]; do
        # A server that does not answer for a moment is asked again.
        table=$(k get episodes "${episodes[@]}" 2>&1) && look && draw "$table"
        [ "$(count 'Completed|Failed|Cancelled')" -lt ${#episodes[@]} ] || return 0
        sleep 1
    done
    say "not all episodes have ended after $PATIENCE s"
}

step "the cluster"
if callers_own; then
    [ -n "${IMAGE:-}" ] || fail "KUBECONFIG is your own cluster: set IMAGE to an image of the operator that it can pull"
    own=false
else
    tests/cluster/cluster.sh up || exit
    own=true
fi
eval "$(tests/cluster/cluster.sh env)"
if $own; then
    kubectl get nodes
    step "the operator's image from these sources"
    [ -n "$binary" ] || make --no-print-directory static
    tests/cluster/cluster.sh operator
fi
step "helm: the charts mle-dojo-crds and mle-dojo-operator"
tests/cluster/cluster.sh install
helm --namespace "${OPERATOR_NAMESPACE:-mle-dojo-system}" list

step "kubectl apply -k $QUICKSTART"
kubectl get namespace "$NAMESPACE" >/dev/null 2>&1 || kubectl create namespace "$NAMESPACE" >/dev/null
mapfile -t episodes < <(quickstart | k apply --dry-run=client --filename - --output name | sed -n 's|^episode.mledojo.dev/||p')
[ ${#episodes[@]} -gt 0 ] || fail "$QUICKSTART has no Episodes"
# An Episode is one rollout: to run it again is to make it again. Its pod goes first: the next one has its name.
k delete episodes "${episodes[@]}" --ignore-not-found >/dev/null
k wait --for=delete pod --selector "mledojo.dev/episode in ($(IFS=, && echo "${episodes[*]}"))" --timeout=120s >/dev/null
created=$SECONDS
if [ -n "$image" ]; then
    quickstart | k apply --filename -
else
    k apply --kustomize "$QUICKSTART"
fi
printf '\n'
follow

step "what came of it, $((SECONDS - created)) s after the episodes were created"
k get episodes "${episodes[@]}" --output wide
printf '\nkubectl describe episode %s, from its status on:\n\n' "${episodes[0]}"
k describe episode "${episodes[0]}" | sed -n '/^Status:/,$p' | cut -c 1-160 | sed -n 1,80p

completed=$(count Completed)
if [ "$completed" != ${#episodes[@]} ]; then
    {
        printf '\n'
        k describe episodes "${episodes[@]}" | sed -n '/^Name:/p; /^Events:/,/^$/p'
        kubectl --namespace "${OPERATOR_NAMESPACE:-mle-dojo-system}" logs deployment/mle-dojo-operator --tail=30
        fail "$completed of ${#episodes[@]} episodes completed; events and the operator's log are above"
    } >&2
fi
namespace_flag=
[ "$NAMESPACE" = default ] || namespace_flag=" --namespace $NAMESPACE"
cat <<TEXT

$completed of ${#episodes[@]} episodes completed. What to type next:

TEXT
! $own || cat <<TEXT
    eval "\$(tests/cluster/cluster.sh env)"          # kubectl and helm for this cluster
TEXT
cat <<TEXT
    kubectl get episodes$namespace_flag --output wide
    kubectl describe episode ${episodes[0]}$namespace_flag
    make demo                                      # the same again
TEXT
! $own || cat <<TEXT
    target/static/dojo trajectory ${episodes[0]}$namespace_flag | head -n 3
    make cluster-down                              # ends the cluster and deletes all of it
TEXT
