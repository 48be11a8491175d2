#!/usr/bin/env bash
# Writes what is generated from the charts' sources.
#   generate.sh crds OUT      templates of mle-dojo-crds from crds/, into the folder OUT
#   generate.sh install OUT   the file that installs everything with `kubectl apply`; needs helm, or HELM=PATH
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
namespace=mle-dojo-system

# The text of the definition as it is, with one annotation more: reading and writing YAML would lose its form.
crds() {
    local file
    for file in "$project"/crds/*.yaml; do
        ! grep -qF '{{' "$file" || {
            echo "$file holds '{{', which Helm would take for a template: write the documentation in the types without it" >&2
            exit 1
        }
        awk '
            NR == 1 { print "# Generated from crds/ by `make charts`: do not edit."; next }
            { print }
            /^metadata:$/ { print "  annotations:\n    helm.sh/resource-policy: keep" }
        ' "$file" >"$1/$(basename "$file")"
    done
}

install() {
    local file
    {
        cat <<YAML
# Generated from charts/ and crds/ by \`make manifests\`: do not edit.
#
#   kubectl apply --server-side -f manifests/install.yaml
#
# The operator with the chart's defaults, for clusters without Helm. Before you delete it, delete all Episodes, since the
# operator lets go of their pods: kubectl delete episodes --all --all-namespaces --cascade=foreground
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels:
    pod-security.kubernetes.io/enforce: restricted
YAML
        for file in "$project"/crds/*.yaml; do
            echo ---
            cat "$file"
        done
        # Hooks run when Helm uninstalls; kubectl would run them at once.
        "${HELM:-helm}" template mle-dojo "$project/charts/mle-dojo-operator" --namespace "$namespace" --no-hooks
    } >"$1"
}

case ${1:-} in
crds | install) "$@" ;;
*)
    sed -n '/^#   generate/s/^# //p' "$0" >&2
    exit 2
    ;;
esac
