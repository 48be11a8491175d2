# shellcheck shell=bash
# GPUs as the cluster sees them: a capacity in the node's status, as a device plugin would put it there, and the labels
# of NVIDIA's feature discovery. Pods are placed and wait as with real ones; no device appears in them.

# nth LIST NUMBER: of a comma-separated list; the last entry goes on for the nodes after it
nth() {
    local entries
    IFS=, read -ra entries <<<"$1"
    local index=$(($2 - 1))
    [ $index -lt ${#entries[@]} ] || index=$((${#entries[@]} - 1))
    echo "${entries[$index]}"
}

# Memory in MiB, from the product's own name where it says so: NVIDIA-A100-SXM4-80GB.
memory_of() {
    if [[ $1 =~ ([0-9]+)GB ]]; then echo $((BASH_REMATCH[1] * 1024)); else echo 16384; fi
}

give_gpus() { # give_gpus NUMBER
    local node=node$1 count product memory
    count=$(nth "$GPUS" "$1")
    product=$(nth "${GPU_PRODUCTS:-NVIDIA-A100-SXM4-80GB}" "$1")
    memory=$(memory_of "$product")
    kubectl patch node "$node" --subresource=status --type=merge --patch \
        "{\"status\":{\"capacity\":{\"nvidia.com/gpu\":\"$count\"},\"allocatable\":{\"nvidia.com/gpu\":\"$count\"}}}" >/dev/null
    if [ "$count" -gt 0 ]; then
        kubectl label --overwrite node "$node" nvidia.com/gpu.present=true "nvidia.com/gpu.product=$product" \
            "nvidia.com/gpu.memory=$memory" "nvidia.com/gpu.count=$count" >/dev/null
    else
        kubectl label node "$node" nvidia.com/gpu.{present,product,memory,count}- >/dev/null
    fi
}
