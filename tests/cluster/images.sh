#!/usr/bin/env bash
# Builds images from Dockerfiles without a registry, as archives.
#   images.sh                        those of every node, into the cache; what is there already is kept
#   images.sh operator BINARY OUT    the operator's image around a static binary
set -euo pipefail
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/packages.sh"
. "$(dirname "$0")/lib/images.sh"

# A store of its own, deleted at the end: nothing of the machine's containers is seen or touched.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
builder() { buildah --root "$scratch/store" --runroot "$scratch/run" --storage-driver vfs "$@"; }

# build NAME OUT FLAGS...: the archive appears whole or not at all
build() {
    local name=$1 out=$2 log=$scratch/log
    shift 2
    builder build --isolation chroot --pull-never --tag "$name" "$@" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        fail "building the image $name failed; the end of its log is above"
    }
    rm -f "$out"
    builder push --quiet "$name" "docker-archive:$out.part:$name"
    mv "$out.part" "$out"
}

# Once for each image that wants it; a private mount namespace keeps debootstrap's mounts from this machine.
base_image() {
    [ -f "$(base_archive)" ] || {
        say "making the base image: Debian $BASE_SUITE with $BASE_PACKAGES"
        mkdir "$scratch/context"
        unshare --mount debootstrap --variant=minbase --include="$BASE_PACKAGES" "$BASE_SUITE" "$scratch/root" \
            ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$scratch/log" 2>&1 || {
            tail -n 20 "$scratch/log" >&2
            fail "debootstrap failed; the end of its log is above. DEBIAN_MIRROR=URL takes another mirror"
        }
        tar --create --numeric-owner --sort=name --directory "$scratch/root" --exclude './var/cache/apt/archives/*.deb' \
            --exclude './var/lib/apt/lists/*' --exclude './proc/*' --exclude './sys/*' --exclude './dev/*' \
            --file "$scratch/context/root.tar" .
        build localhost/base:1 "$(base_archive)" --file "$HERE/images/base/Dockerfile" "$scratch/context"
        return
    }
    builder pull --quiet "docker-archive:$(base_archive)" >/dev/null
}

python_image() {
    local archive pip=()
    archive=$(python_archive)
    [ -f "$archive" ] && return
    need debootstrap=debootstrap buildah=buildah
    base_image
    say "making the image $TASK_IMAGE"
    # Behind a proxy that signs certificates, and with settings of pip's: as on this machine, for the build alone.
    [ ! -f /etc/pip.conf ] || pip=(--volume /etc/pip.conf:/etc/pip.conf:ro)
    build "$TASK_IMAGE" "$archive" --build-arg BASE=localhost/base:1 "${pip[@]}" \
        --volume /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro \
        "$PROJECT/manifests/quickstart"
}

pause_image() {
    [ -f "$(pause_archive)" ] && return
    need buildah=buildah
    build localhost/pause:1 "$(pause_archive)" --file "$HERE/images/pause/Dockerfile" "$BIN"
}

operator_image() { # operator_image BINARY OUT
    [ -f "$1" ] || fail "$1 does not exist: build the static binary with 'make static', or set DOJO_BINARY"
    ! grep -qa -m 1 /lib64/ld-linux <(head -c 4096 "$1") ||
        fail "$1 needs a dynamic loader, which an image from scratch has not: build it with 'make static'"
    need buildah=buildah
    mkdir "$scratch/context"
    cp "$1" "$scratch/context/dojo"
    build localhost/mle-dojo-operator:dev "$2" --file "$PROJECT/Dockerfile" --build-arg BINARY=prebuilt "$scratch/context"
}

mkdir -p "$IMAGES"
if [ "${1:-}" = operator ]; then
    operator_image "$2" "$3"
else
    exec 9>"$IMAGES/lock"
    flock 9
    pause_image
    python_image
fi
