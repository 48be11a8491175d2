# shellcheck shell=bash
# What makes Services and names work: kube-proxy and CoreDNS, beside the nodes.

services() {
    # kube-proxy exits when its file changes, so a running one keeps the file that it has.
    alive kube-proxy || render kube-proxy.yaml >"$STATE/kube-proxy.yaml"
    start kube-proxy "$IN/bin/kube-proxy" --config="$IN/kube-proxy.yaml"
    render Corefile >"$STATE/Corefile"
    render dns.yaml | kubectl apply --server-side --filename - >/dev/null
    start coredns "$IN/bin/coredns" -conf "$IN/Corefile"
}
