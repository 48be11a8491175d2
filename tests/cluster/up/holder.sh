#!/usr/bin/env bash
# PID 1 of the cluster's namespaces: lays out its mounts, then reaps what is orphaned. When it ends, the kernel ends
# every process inside, and with them go mounts and network.
#   holder.sh STATE BIN IMAGES
set -euo pipefail
state=$1 bin=$2 images=$3

# /run is the cluster's own (sockets of containerd and its shims, network namespaces), with the state folder in it.
mount -t tmpfs -o mode=755 run "$state/run"
mkdir "$state/run"/{dojo,netns}
mount --bind "$state" "$state/run/dojo"
mount --bind "$bin" "$state/run/dojo/bin"
mount --bind "$images" "$state/run/dojo/images"
mount --rbind "$state/run" /run
# What kubelets mount for pods must reach containerd; nothing else is shared.
mount --make-shared /run/dojo
# CNI and others keep caches at fixed paths here: the machine's own stay as they are.
for path in /var/lib /tmp; do mount -t tmpfs tmpfs "$path"; done

touch /run/dojo/holder.ready
while :; do
    sleep infinity &
    wait
done
