#!/usr/bin/env bash
# A kubelet in a mount namespace of its own: it and its siblings use fixed paths, and it sets kernel parameters that
# are the machine's. Only the kubelet may see these mounts: over /proc they would forbid user namespaces to pods.
#   kubelet.sh FLAGS...
set -euo pipefail

for path in /var/lib /var/log; do mount -t tmpfs tmpfs "$path"; done
mkdir -p /var/lib/{kubelet,parameters} /var/log/containers
for parameter in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    scratch=/var/lib/parameters/${parameter//\//_}
    cat "/proc/sys/$parameter" >"$scratch"
    mount --bind "$scratch" "/proc/sys/$parameter"
done
exec /run/dojo/bin/kubelet "$@"
