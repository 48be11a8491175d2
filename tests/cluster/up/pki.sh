# shellcheck shell=bash
# Certificates and kubeconfigs in $STATE/pki. Those that exist are kept.

PKI=$STATE/pki

authority() { # authority NAME SUBJECT
    [ -f "$PKI/$1.crt" ] && return
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$2" \
        -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -addext basicConstraints=critical,CA:TRUE \
        -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
}

certificate() { # certificate NAME AUTHORITY SUBJECT USAGE [NAMES]
    local name=$1 authority=$2
    [ -f "$PKI/$name.crt" ] && return
    {
        echo "basicConstraints = CA:FALSE"
        echo "keyUsage = critical,digitalSignature,keyEncipherment"
        echo "extendedKeyUsage = $4"
        [ -z "${5:-}" ] || echo "subjectAltName = $5"
    } >"$PKI/$name.ext"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$3" \
        -keyout "$PKI/$name.key" -out "$PKI/$name.csr" 2>/dev/null
    openssl x509 -req -in "$PKI/$name.csr" -CA "$PKI/$authority.crt" -CAkey "$PKI/$authority.key" -CAcreateserial \
        -days 3650 -extfile "$PKI/$name.ext" -out "$PKI/$name.crt" 2>/dev/null
    rm -f "$PKI/$name.csr" "$PKI/$name.ext"
}

kubeconfig() { # kubeconfig CERTIFICATE FILE
    local CA CERTIFICATE KEY
    [ -f "$2" ] && return
    # shellcheck disable=SC2034 # for the template
    CA=$(base64 -w0 "$PKI/ca.crt") CERTIFICATE=$(base64 -w0 "$PKI/$1.crt") KEY=$(base64 -w0 "$PKI/$1.key")
    render kubeconfig.yaml >"$2"
    chmod 600 "$2"
}

# A client of the API server: a certificate and the kubeconfig that holds it.
client() { # client NAME SUBJECT
    certificate "$1" ca "$2" clientAuth
    kubeconfig "$1" "$PKI/$1.kubeconfig"
}

control_plane_pki() {
    authority ca kubernetes-ca
    authority front-proxy-ca front-proxy-ca
    certificate apiserver ca /CN=kube-apiserver serverAuth \
        "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$SERVICE_NET.0.1,IP:$NODE_IP"
    certificate apiserver-kubelet ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
    certificate front-proxy front-proxy-ca /CN=front-proxy-client clientAuth
    client controller-manager /CN=system:kube-controller-manager
    client scheduler /CN=system:kube-scheduler
    client proxy /CN=system:kube-proxy
    client dns /CN=dojo:dns
    certificate admin ca /O=system:masters/CN=kubernetes-admin clientAuth
    kubeconfig admin "$OUR_KUBECONFIG"
    [ -f "$PKI/service-account.key" ] ||
        openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/service-account.key"
    openssl ec -in "$PKI/service-account.key" -pubout -out "$PKI/service-account.pub" 2>/dev/null
}

node_pki() { # node_pki NAME IP
    client "$1" "/O=system:nodes/CN=system:node:$1"
    certificate "$1-serving" ca "/O=system:nodes/CN=system:node:$1" serverAuth "DNS:$1,IP:$2,IP:127.0.0.1"
}
