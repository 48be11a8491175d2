#!/usr/bin/env bash
# Shows that the cluster in use does what the project's tests rest on: pods, sidecars, names, GPUs, the audit log.
# shellcheck disable=SC2317 # the functions are run by `check`
set -uo pipefail
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
. "$(dirname "$0")/lib/images.sh"
eval "$("$HERE/cluster.sh" env)"

NAMESPACE=dojo-check
k() { kubectl --namespace "$NAMESPACE" "$@"; }
passed=0 failed=0

check() { # check WHAT COMMAND...
    local what=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$what"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n%s\n' "$what" "$output"
    fi
}

succeeds() { # succeeds POD
    k wait --for=jsonpath='{.status.phase}'=Succeeded "pod/$1" --timeout=60s || {
        k describe pod "$1"
        k logs "$1" --all-containers
        return 1
    }
}

last_word_arrives() {
    local message
    message=$(k get pod sidecar --output jsonpath='{.status.initContainerStatuses[0].state.terminated.message}')
    [ "$message" = "last word" ] || { echo "got '$message'" && return 1; }
}

# One pod more than there are GPUs: it waits, and starts when another ends.
gpu_pods() {
    local number
    for number in $(seq $((gpus + 1))); do sed "s/\${NAME}/gpu-$number/" "$HERE/check/gpu.yaml"; echo ---; done |
        k apply --filename -
    until [ "$(k get pods --selector check=gpu --field-selector status.phase=Running --output name | wc -l)" = "$gpus" ]; do
        [ $((tries = ${tries:-0} + 1)) -lt 120 ] || return 1
        sleep 0.5
    done
}
waiting_pod() { k get pods --selector check=gpu --field-selector status.phase=Pending --output name; }
one_waits() {
    [ "$(waiting_pod | wc -l)" = 1 ] || return 1
    k describe "$(waiting_pod)" | grep -q "Insufficient nvidia.com/gpu"
}
it_starts() {
    local waiting
    waiting=$(waiting_pod)
    k delete "$(k get pods --selector check=gpu --field-selector status.phase=Running --output name | head -n 1)"
    k wait --for=condition=Ready "$waiting" --timeout=30s
}

# The tasks' requirements stand in the tasks, for the local runner, and once more where the image is built.
image_fits_tasks() {
    local line task
    for task in "$PROJECT"/manifests/quickstart/*/task.yaml; do
        grep -qF "image: $TASK_IMAGE" "$task" || { echo "$task names another image" && return 1; }
        while read -r line; do
            grep -qF -- "- $line" "$task" || { echo "$task does not require $line" && return 1; }
        done <"$PROJECT/manifests/quickstart/requirements.txt"
    done
}

# The API server writes the line before it answers.
audited() { grep -q "\"verb\":\"create\".*\"namespace\":\"$NAMESPACE\"" "$AUDIT_LOG"; }

kubectl create namespace "$NAMESPACE" >/dev/null || fail "no cluster answers: 'make cluster-up' first"
until k get serviceaccount default >/dev/null 2>&1; do sleep 0.1; done
k apply --filename "$HERE/check/python.yaml" --filename "$HERE/check/sidecar.yaml" >/dev/null
check "the task image is the one that the quickstart's tasks name, with what they require" image_fits_tasks
check "the task image runs under restricted rights, and finds a Service by name" succeeds python
check "a pod with a native sidecar ends with its main container" succeeds sidecar
check "the sidecar's last word is in the pod's status" last_word_arrives
gpus=$(kubectl get nodes --output jsonpath='{range .items[*]}{.status.allocatable.nvidia\.com/gpu}{"\n"}{end}' | awk '{n += $1} END {print n + 0}')
if [ "$gpus" -gt 0 ]; then
    check "$gpus pods have a GPU each" gpu_pods
    check "one more waits for a GPU" one_waits
    check "it starts when a GPU is free" it_starts
fi
[ ! -f "$AUDIT_LOG" ] || check "the audit log has the writes" audited
kubectl delete namespace "$NAMESPACE" >/dev/null
printf '\n%d passed, %d failed\n' $passed $failed
exit $((failed > 0))
