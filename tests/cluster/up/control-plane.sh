# shellcheck shell=bash
# etcd, API server, controller manager, scheduler.

run_etcd() {
    local client=http://127.0.0.1:$((2379 + PORT_SHIFT)) peer=http://127.0.0.1:$((2380 + PORT_SHIFT))
    # No fsync: a cluster that is deleted when it stops has nothing to lose.
    start etcd "$IN/bin/etcd" --name dojo --data-dir "$IN/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "$client" --advertise-client-urls "$client" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "dojo=$peer" \
        --quota-backend-bytes 4294967296 --auto-compaction-mode periodic --auto-compaction-retention 10m
}

run_apiserver() {
    local reconciler=lease
    # Endpoints refuse a loopback address; without nodes nobody needs them.
    [ "$NODE_IP" != 127.0.0.1 ] || reconciler=none
    # shellcheck disable=SC2086 # flags of the caller, several words
    start kube-apiserver "$IN/bin/kube-apiserver" \
        --etcd-servers="http://127.0.0.1:$((2379 + PORT_SHIFT))" \
        --bind-address="$NODE_IP" --advertise-address="$NODE_IP" --secure-port=$((6443 + PORT_SHIFT)) \
        --endpoint-reconciler-type=$reconciler \
        --tls-cert-file="$IN/pki/apiserver.crt" --tls-private-key-file="$IN/pki/apiserver.key" \
        --client-ca-file="$IN/pki/ca.crt" \
        --kubelet-client-certificate="$IN/pki/apiserver-kubelet.crt" \
        --kubelet-client-key="$IN/pki/apiserver-kubelet.key" \
        --kubelet-certificate-authority="$IN/pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file="$IN/pki/service-account.pub" \
        --service-account-signing-key-file="$IN/pki/service-account.key" \
        --service-cluster-ip-range="$SERVICE_NET.0.0/16" --enable-aggregator-routing=true \
        --requestheader-client-ca-file="$IN/pki/front-proxy-ca.crt" \
        --requestheader-allowed-names=front-proxy-client --requestheader-username-headers=X-Remote-User \
        --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
        --proxy-client-cert-file="$IN/pki/front-proxy.crt" --proxy-client-key-file="$IN/pki/front-proxy.key" \
        --audit-policy-file="$IN/audit.yaml" --audit-log-path="$IN/logs/audit.log" --audit-log-maxsize=1000 \
        ${APISERVER_FLAGS:-}
}

run_controller_manager() {
    # shellcheck disable=SC2086 # flags of the caller, several words
    start kube-controller-manager "$IN/bin/kube-controller-manager" \
        --kubeconfig="$IN/pki/controller-manager.kubeconfig" \
        --authentication-kubeconfig="$IN/pki/controller-manager.kubeconfig" \
        --authorization-kubeconfig="$IN/pki/controller-manager.kubeconfig" \
        --bind-address=127.0.0.1 --secure-port=$((10257 + PORT_SHIFT)) --leader-elect=false \
        --root-ca-file="$IN/pki/ca.crt" --service-account-private-key-file="$IN/pki/service-account.key" \
        --use-service-account-credentials=true --cluster-signing-cert-file="$IN/pki/ca.crt" \
        --cluster-signing-key-file="$IN/pki/ca.key" --kube-api-qps=500 --kube-api-burst=1000 \
        --allocate-node-cidrs=false --flex-volume-plugin-dir="$IN/volplugins" \
        --service-cluster-ip-range="$SERVICE_NET.0.0/16" ${CONTROLLER_FLAGS:-}
}

run_scheduler() {
    start kube-scheduler "$IN/bin/kube-scheduler" --config="$IN/scheduler.yaml" \
        --authentication-kubeconfig="$IN/pki/scheduler.kubeconfig" \
        --authorization-kubeconfig="$IN/pki/scheduler.kubeconfig" \
        --bind-address=127.0.0.1 --secure-port=$((10259 + PORT_SHIFT))
}

# healthy PORT: asks a part of the control plane that listens on the loopback inside
healthy() {
    inside "$IN/bin/kubectl" --kubeconfig="$IN/kubeconfig" get --raw /healthz \
        --server="https://127.0.0.1:$(($1 + PORT_SHIFT))" --insecure-skip-tls-verify
}

control_plane() {
    control_plane_pki
    render audit.yaml >"$STATE/audit.yaml"
    render scheduler.yaml >"$STATE/scheduler.yaml"
    run_etcd
    run_apiserver
    await kube-apiserver 60 kubectl get --raw /readyz
    run_controller_manager
    run_scheduler
    await kube-controller-manager 30 healthy 10257
    await kube-scheduler 30 healthy 10259
    # Pods are refused until the namespace has it.
    await kube-controller-manager 30 kubectl get serviceaccount default
}
