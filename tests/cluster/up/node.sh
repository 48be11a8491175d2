# shellcheck shell=bash
# One node: a containerd and a kubelet of its own on the shared bridge.

# What a pod's processes are counted and limited in. A cpuset of version 1 must be filled before use; version 2 passes
# controllers on only where they are switched on from the top.
make_cgroups() { # make_cgroups NODE
    local root=/sys/fs/cgroup hierarchy path
    if [ -f $root/cgroup.controllers ]; then
        mkdir -p "$root/$CGROUP/$1"
        for path in $root "$root/$CGROUP"; do
            echo "+cpuset +cpu +memory +pids" >"$path/cgroup.subtree_control" ||
                skip "cgroups below $path cannot have controllers: run on the machine itself, not in a container"
        done
        return
    fi
    for hierarchy in "$root"/*/; do
        [ -f "${hierarchy}cgroup.controllers" ] && continue
        for path in "$hierarchy$CGROUP" "$hierarchy$CGROUP/$1"; do
            mkdir -p "$path"
            [ -f "$path/cpuset.cpus" ] || continue
            cat "${hierarchy}cpuset.cpus" >"$path/cpuset.cpus"
            cat "${hierarchy}cpuset.mems" >"$path/cpuset.mems"
        done
    done
}

start_containerd() { # start_containerd NUMBER
    start "containerd$1" "$IN/bin/containerd" --config "$IN/node$1/containerd.toml" --log-level warn
    await "containerd$1" 30 in_containerd "$1" version
}

start_node() { # start_node NUMBER
    # shellcheck disable=SC2034 # HEALTH_PORT is for the template
    local NODE=node$1 D=$IN/node$1 ADDRESS=$NODE_IP HEALTH_PORT=$((20248 + $1))
    mkdir -p "$STATE/$NODE"/{manifests,podlogs}
    if [ "$1" -gt 1 ]; then
        ADDRESS=$NET.$((240 + $1))
        inside ip address replace "$ADDRESS/32" dev dojo
    fi
    node_pki "$NODE" "$ADDRESS"
    make_cgroups "$NODE"
    render containerd.toml >"$STATE/$NODE/containerd.toml"
    render kubelet.yaml >"$STATE/$NODE/kubelet.yaml"
    plant_images "$1"
    start_containerd "$1"
    load_images "$1"
    # A copy: inside, the folder of this script may be hidden.
    cp "$HERE/up/kubelet.sh" "$STATE/kubelet.sh"
    # shellcheck disable=SC2086 # flags of the caller, several words
    start "kubelet$1" unshare --mount --propagation unchanged "$IN/kubelet.sh" \
        --config="$D/kubelet.yaml" --kubeconfig="$IN/pki/$NODE.kubeconfig" \
        --hostname-override="$NODE" --node-ip="$ADDRESS" --root-dir="$D/kubelet" --cert-dir="$D/kubelet/pki" \
        ${KUBELET_FLAGS:-}
}

await_node() { # await_node NUMBER
    await "kubelet$1" 60 kubectl get node "node$1"
    await "kubelet$1" 60 kubectl wait --for=condition=Ready "node/node$1" --timeout=1s
}
