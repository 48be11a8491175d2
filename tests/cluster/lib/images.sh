# shellcheck shell=bash
# Image archives in the cache, each named after a digest of what it is made from.

IMAGES=$CACHE/images
# The image that the quickstart's tasks name: nodes have it, so that nothing is pulled and the tasks run as they are.
TASK_IMAGE=ghcr.io/mle-dojo/python-ml:0.1
# Its base: a small Debian with what a Python task needs to start from.
BASE_SUITE=bookworm
BASE_PACKAGES=python3,python3-venv,ca-certificates

digest() { sha256sum | cut -c 1-16; }

base_archive() {
    echo "$IMAGES/base-$(cat "$HERE/images/base/Dockerfile" - <<<"$BASE_SUITE $BASE_PACKAGES" | digest).tar"
}

python_archive() {
    local inputs=("$PROJECT"/manifests/quickstart/{Dockerfile,requirements.txt})
    echo "$IMAGES/python-$(cat "${inputs[@]}" - <<<"$TASK_IMAGE $(basename "$(base_archive)")" | digest).tar"
}

pause_archive() { echo "$IMAGES/pause-$(cat "$HERE/images/pause/Dockerfile" - <<<"$DIGEST" | digest).tar"; }

# What every node has from the start.
image_archives() {
    pause_archive
    python_archive
}

# in_containerd NUMBER ARGUMENTS...: the containerd of that node, in the namespace that its kubelet uses
in_containerd() {
    local number=$1
    shift
    inside env CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1 "$IN/bin/ctr" --address "$IN/node$number/containerd.sock" --namespace k8s.io "$@"
}
