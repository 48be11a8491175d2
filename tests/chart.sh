#!/usr/bin/env bash
# The charts without a cluster: what they render, what they refuse, and whether what is generated from them is up to date.
# HELM=PATH takes another helm than the one that the test cluster builds.
# shellcheck disable=SC2317,SC2329 # the functions are run by `check`
set -uo pipefail
. "$(dirname "$0")/cluster/lib/say.sh"
. "$(dirname "$0")/cluster/lib/paths.sh"
cd "$PROJECT" || exit 1

if [ -z "${HELM:-}" ]; then
    tests/cluster/build.sh helm || exit
    HELM=$BIN/helm
fi
export HELM
OPERATOR=charts/mle-dojo-operator
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
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

render() { # render [FLAGS...]
    "$HELM" template mle-dojo "$OPERATOR" --namespace mle-dojo-system "$@"
}

# renders NAME [FLAGS...]: keeps the result for the checks that follow
renders() {
    local name=$1
    shift
    render "$@" >"$scratch/$name.yaml"
}

# has NAME TEXT...: each text is a line, or a part of one
has() {
    local name=$1 text
    shift
    for text in "$@"; do
        grep -qF -- "$text" "$scratch/$name.yaml" || { echo "there is no '$text'" && return 1; }
    done
}

has_not() { # has_not NAME TEXT...
    local name=$1 text
    shift
    for text in "$@"; do
        ! grep -nF -- "$text" "$scratch/$name.yaml" || { echo "there is '$text'" && return 1; }
    done
}

# refuses MESSAGE [FLAGS...]
refuses() {
    local message=$1 output
    shift
    if output=$(render "$@" 2>&1 >/dev/null); then echo "it was taken" && return 1; fi
    grep -qF -- "$message" <<<"$output" || { printf 'another message:\n%s\n' "$output" && return 1; }
}

versions_agree() {
    local version file
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    for file in charts/*/Chart.yaml; do
        [ "$(sed -nE 's/^(version|appVersion): //p' "$file" | uniq)" = "$version" ] ||
            { echo "$file is not of version $version, which Cargo.toml has" && return 1; }
    done
}

crds_are_current() {
    mkdir "$scratch/crds"
    charts/generate.sh crds "$scratch/crds"
    diff -r charts/mle-dojo-crds/templates "$scratch/crds" || { echo "run 'make charts'" && return 1; }
}

install_is_current() {
    charts/generate.sh install "$scratch/install.yaml"
    diff manifests/install.yaml "$scratch/install.yaml" || { echo "run 'make manifests'" && return 1; }
}

lints() { "$HELM" lint --quiet --strict "$@"; }

# The kinds are the same text, and stay when the chart goes.
crds_are_kept() {
    "$HELM" template mle-dojo-crds charts/mle-dojo-crds >"$scratch/kinds.yaml" || return 1
    [ "$(grep -c '^    helm.sh/resource-policy: keep$' "$scratch/kinds.yaml")" = "$(find crds -name '*.yaml' | wc -l)" ]
}

# What a reviewer of rights wants to know stands above each of them.
rules_have_reasons() {
    awk '
        /^ *- apiGroups:/ { rules++; if (before !~ /^ *#/) { print FILENAME ":" FNR ": a rule without a reason"; bad = 1 } }
        { before = $0 }
        END { if (rules < 10) { print "only " rules " rules were seen"; bad = 1 } exit bad }
    ' "$scratch"/{default,everything,namespaced}.yaml
}

# rules NAME: one line for each rule, with the kind of its role: "ClusterRole resources verbs names"
rules() {
    awk '
        function flush() { if (resources != "") print kind, resources, verbs, names; resources = verbs = names = "" }
        function list(line) { sub(/^[^[]*\[/, "", line); sub(/\].*/, "", line); gsub(/ /, "", line); return line }
        /^---/ { flush(); kind = "" }
        /^kind:/ { kind = $2 }
        /^ *- apiGroups:/ { flush() }
        /^    resources: \[/ { resources = list($0) }
        /^    resourceNames: \[/ { names = list($0) }
        /^    verbs: \[/ { verbs = list($0) }
        END { flush() }
    ' "$scratch/$1.yaml"
}

one_secret_is_read() {
    local reading
    reading=$(rules "$1" | grep -w secrets | grep -wE 'get|list|watch|patch|update|\*')
    [ "$reading" = "Role secrets get,update mle-dojo-operator-ca" ] || { echo "$reading" && return 1; }
}

nothing_is_wild() { ! rules "$1" | grep -F '*'; }

config_maps_are_not_listed() { ! rules "$1" | grep -w configmaps | grep -wE 'list|watch'; }

# Left at cluster level: what has no namespace.
cluster_rules_are() { # cluster_rules_are NAME RESOURCE...
    local name=$1
    shift
    diff <(rules "$name" | awk '$1 == "ClusterRole" { print $2 }' | sort) <(printf '%s\n' "$@" | sort)
}

# The pod of the hook must not be counted among the operator's.
hook_is_another_pod() {
    render --show-only templates/uninstall/job.yaml >"$scratch/job.yaml"
    has job "app.kubernetes.io/name: mle-dojo-uninstall" "helm.sh/hook: pre-delete" "- uninstall-hook" &&
        has_not job "app.kubernetes.io/name: mle-dojo-operator"
}

hooks_have_hook_annotations() {
    local file documents hooks
    for file in job rbac; do
        render --show-only "templates/uninstall/$file.yaml" >"$scratch/hooks.yaml"
        documents=$(grep -c '^kind:' "$scratch/hooks.yaml")
        hooks=$(grep -c 'helm.sh/hook: pre-delete' "$scratch/hooks.yaml")
        [ "$documents" = "$hooks" ] || { echo "$file: $documents objects, $hooks hooks" && return 1; }
    done
}

# Paths of the values that hold something: `a.b` for b below a.
values() {
    awk '
        /^ *(#|$)/ { next }
        {
            depth = (match($0, /[^ ]/) - 1) / 2
            key = $1; sub(/:$/, "", key); path[depth] = key
            if (NF > 1) { line = path[0]; for (i = 1; i <= depth; i++) line = line "." path[i]; print line }
        }
    ' "$OPERATOR/values.yaml"
}

every_value_is_explained() {
    # shellcheck disable=SC2016 # backticks of Markdown
    diff <(values | sort) <(sed -n 's/^| `\([A-Za-z.]*\)` |.*/\1/p' "$OPERATOR/README.md" | sort)
}

# Keys of values.yaml and properties of the schema: a value that only one of them knows is a typing error.
every_value_has_a_schema() {
    local path key
    for path in $(values); do
        key=${path##*.}
        grep -qF "\"$key\":" "$OPERATOR/values.schema.json" || { echo "$path is not in values.schema.json" && return 1; }
    done
}

check "the charts have the version of the package" versions_agree
check "templates of mle-dojo-crds are what crds/ gives" crds_are_current
check "the kinds stay when their chart is uninstalled" crds_are_kept
check "manifests/install.yaml is what the chart gives" install_is_current
check "mle-dojo-crds passes helm lint" lints charts/mle-dojo-crds
check "mle-dojo-operator passes helm lint" lints "$OPERATOR"
check "every value is in the README's table, and nothing else" every_value_is_explained
check "every value is in the schema" every_value_has_a_schema

check "it renders with its defaults" renders default
check "one replica on its own volume is replaced, never doubled" has default "type: Recreate" "accessModes: [ReadWriteOnce]"
check "the episodes' containers run the operator's image" has default \
    "image: ghcr.io/mle-dojo/mle-dojo-operator:" "--image=ghcr.io/mle-dojo/mle-dojo-operator:"
check "the operator fits restricted Pod Security" has default "runAsNonRoot: true" "type: RuntimeDefault" \
    "allowPrivilegeEscalation: false" "drop: [ALL]" "readOnlyRootFilesystem: true"
check "by default there is no budget and no ServiceMonitor" has_not default "kind: PodDisruptionBudget" "kind: ServiceMonitor"
check "the hook's pod is none of the operator's" hook_is_another_pod
check "whatever is made for the hook goes with it" hooks_have_hook_annotations

for file in tests/data/chart/*.yaml; do
    name=$(basename "$file" .yaml)
    check "it renders with $file" renders "$name" --values "$file"
    check "and passes helm lint" lints "$OPERATOR" --values "$file"
done
check "several replicas have a budget and roll" has everything "kind: PodDisruptionBudget" "replicas: 3"
check "an object store needs no volume" has_not everything "type: Recreate" "kind: PersistentVolumeClaim" "mountPath:"
check "what is given reaches the pod" has everything "- name: registry" "name: object-store" "name: HTTPS_PROXY" \
    "priorityClassName: system-cluster-critical" "--archive=s3://trajectories/dojo" "--report-listen=[::]:8443"
check "no label of the user's hides the pod from its Service" has_not everything "something-else"
check "Prometheus finds the operator where it is told to" has everything "kind: ServiceMonitor" "release: prometheus"
check "archive readers may forward a port, and nothing else" has everything "resources: [pods/portforward]" "name: researchers"
check "a shared volume is ReadWriteMany and goes with the release" has shared-volume "ReadWriteMany" "storageClassName: \"nfs\""
check "in one namespace: the operator watches it" has namespaced "--watch-namespace=team-a" "namespace: team-a"
check "in one namespace: assigned user IDs are left to the cluster" has_not namespaced "runAsUser" "fsGroup"
check "in one namespace: no right over others" cluster_rules_are namespaced \
    tokenreviews subjectaccessreviews
check "in one namespace: the image is the one of the digest" has namespaced "image: registry.example.com/dojo@sha256:0123"
check "in one namespace: without archive, hook and policy nothing is left of them" has_not namespaced \
    "--archive" "helm.sh/hook" "kind: NetworkPolicy" "kind: PersistentVolumeClaim"

check "every rule has its reason above it" rules_have_reasons
check "the operator reads one Secret, its own" one_secret_is_read default
check "no rule has a wildcard" nothing_is_wild default
check "ConfigMaps are neither listed nor watched" config_maps_are_not_listed default

check "refused: two replicas on a volume of one" refuses "or archive.url set, or archive.volume.shared true" --set replicas=2
check "refused: a shared EmptyDir" refuses "which each replica has for itself" \
    --set archive.volume.type=EmptyDir,archive.volume.shared=true
check "refused: an existing claim without a name" refuses "the name of a claim with type ExistingClaim" \
    --set archive.volume.type=ExistingClaim
check "refused: the name of a claim that is not used" refuses "or type be ExistingClaim" --set archive.volume.claimName=mine
check "refused: one namespace with scope Cluster" refuses "or scope be Namespace" --set watchNamespace=team-a
check "refused: an unknown value" refuses "additional properties 'replicaCount' not allowed" --set replicaCount=2
check "refused: an unknown value within another" refuses "at '/image': additional properties 'tga' not allowed" --set image.tga=1
check "refused: a duration without a unit" refuses "at '/episodes/startPatience'" --set-string episodes.startPatience=300
check "refused: an archive that no store is" refuses "at '/archive/url'" --set archive.url=http://example.com
check "refused: a digest that is none" refuses "at '/image/digest'" --set image.digest=sha256:1

printf '\n%d passed, %d failed\n' $passed $failed
exit $((failed > 0))
