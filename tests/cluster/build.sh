#!/usr/bin/env bash
# Builds the cluster's binaries from pinned Go modules into the cache; what is there already is kept.
#   build.sh [SET...]     sets: kubernetes containerd runc cni coredns helm (the default) kwok kueue dra
# Each set has a module of its own, so that the Kubernetes libraries of one do not decide the versions of another.
set -euo pipefail
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
. "$(dirname "$0")/lib/packages.sh"

# compile SET [build flags] PACKAGE...: into a scratch folder first, so that an interrupted build leaves no half binary
compile() {
    local module=$1 scratch
    shift
    scratch=$(mktemp -d "$BIN/.building.XXXXXX")
    (cd "$HERE/modules/$module" && go build -trimpath "$@" -o "$scratch/" "${packages[@]}") || {
        rm -rf "$scratch"
        fail "building $module failed; the compiler's message is above"
    }
    mv "$scratch"/* "$destination/"
    rmdir "$scratch"
}

# Unstamped binaries call themselves v0.0.0-master, and the version checks of kubectl and helm complain.
kubernetes_flags() {
    local version package flags="-s -w"
    version=$(cd "$HERE/modules/kubernetes" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
    version=${version#v}
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=v$version -X $package.gitTreeState=clean"
        flags+=" -X $package.gitMajor=${version%%.*} -X $package.gitMinor=$(cut -d. -f2 <<<"$version")"
    done
    printf '%s' "$flags"
}

# The process that holds a pod's namespaces, from the sources that come with the module.
build_pause() {
    local module
    module=$(cd "$HERE/modules/kubernetes" && go mod download -json k8s.io/kubernetes | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    gcc -Os -static -o "$BIN/pause" "$module/build/pause/linux/pause.c"
}

# The binaries that a set leaves behind: the set is built when one of them is missing.
binaries_of() {
    case $1 in
    kubernetes) echo kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl etcd ;;
    containerd) echo containerd containerd-shim-runc-v2 ctr ;;
    cni) echo cni/bridge cni/loopback cni/host-local ;;
    dra) echo dra-test-driver ;;
    runc) echo runc pause ;;
    coredns | helm | kwok | kueue) echo "$1" ;;
    *) fail "unknown set '$1'; there are: kubernetes containerd runc cni coredns helm kwok kueue dra" ;;
    esac
}

present() {
    local binary
    for binary in $(binaries_of "$1"); do [ -x "$BIN/$binary" ] || return 1; done
}

build_set() {
    local destination=$BIN packages
    case $1 in
    kubernetes)
        packages=(k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy,kubectl})
        compile kubernetes -ldflags "$(kubernetes_flags)"
        packages=(go.etcd.io/etcd/server/v3)
        compile kubernetes -ldflags "-s -w"
        # A package whose path ends in a version is named after the element before it.
        mv "$BIN/server" "$BIN/etcd"
        ;;
    containerd)
        packages=(github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr})
        compile containerd -ldflags "-s -w"
        ;;
    runc)
        # The one binary with C in it: seccomp filters are compiled by libseccomp.
        packages=(github.com/opencontainers/runc)
        CGO_ENABLED=1 compile runc -tags seccomp -ldflags "-s -w"
        build_pause
        ;;
    cni)
        destination=$BIN/cni
        mkdir -p "$destination"
        packages=(github.com/containernetworking/plugins/plugins/{main/bridge,main/loopback,ipam/host-local})
        compile cni -ldflags "-s -w"
        ;;
    coredns) packages=(github.com/coredns/coredns) && compile coredns -ldflags "-s -w" ;;
    helm) packages=(helm.sh/helm/v4/cmd/helm) && compile helm -ldflags "-s -w" ;;
    kwok) packages=(sigs.k8s.io/kwok/cmd/kwok) && compile kwok -ldflags "-s -w" ;;
    kueue) packages=(sigs.k8s.io/kueue/cmd/kueue) && compile kueue -ldflags "-s -w" ;;
    dra)
        packages=(k8s.io/kubernetes/test/e2e/dra/test-driver)
        compile kubernetes -ldflags "-s -w"
        mv "$BIN/test-driver" "$BIN/dra-test-driver"
        ;;
    esac
}

sets=("$@")
[ $# -gt 0 ] || sets=(kubernetes containerd runc cni coredns helm)
missing=()
for set in "${sets[@]}"; do present "$set" || missing+=("$set"); done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v go >/dev/null || skip "Go is not installed and the binaries are not in $BIN: install Go 1.26.8 or later"
if [[ " ${missing[*]} " == *" runc "* ]]; then
    need gcc=gcc libc6-dev=/usr/include/stdio.h pkg-config=pkg-config libseccomp-dev=/usr/include/seccomp.h
fi
export CGO_ENABLED=0
mkdir -p "$BIN"
# Two clones that build at once: the second waits, and then finds everything there.
exec 9>"$BIN/../lock"
flock --nonblock 9 || {
    say "another build is at work in $BIN: waiting for it"
    flock 9
}
rm -rf "$BIN"/.building.* # of a build that was killed
for set in "${missing[@]}"; do
    present "$set" && continue
    started=$SECONDS
    say "building $set"
    build_set "$set"
    say "built $set in $((SECONDS - started)) s"
done
