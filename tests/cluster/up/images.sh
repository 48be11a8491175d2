# shellcheck shell=bash
# Images of a node. Unpacking them takes longer than all the rest of `up`, so it is done once: the folder of the first
# containerd is kept in the cache. A node gets its own databases, and what never changes (blobs, unpacked layers) as
# read-only mounts from there.

unpacked() { echo "unpacked-$(image_archives | digest)"; }

# For a node without a containerd as yet.
plant_images() { # plant_images NUMBER
    local kept root=node$1/containerd/root path
    kept=$(unpacked)
    [ -d "$IMAGES/$kept" ] && [ ! -d "$STATE/$root" ] || return 0
    mkdir -p "$STATE/$root"
    tar --create --directory "$IMAGES/$kept" --exclude './*/snapshots/*' --exclude './*/blobs/sha256/*' . |
        tar --extract --directory "$STATE/$root"
    for path in "$IMAGES/$kept"/*/{snapshots,blobs/sha256}/*; do
        path=${path#"$IMAGES/$kept/"}
        if [ -d "$IMAGES/$kept/$path" ]; then mkdir "$STATE/$root/$path"; else touch "$STATE/$root/$path"; fi
        inside mount --options bind,ro "$IN/images/$kept/$path" "$IN/$root/$path"
    done
    image_archives >"$STATE/node$1/images"
}

# What the first node has unpacked moves into the cache; a containerd that writes is no source.
keep_images() { # keep_images NUMBER
    local part=$IMAGES/unpacking.$SLOT
    stop "containerd$1"
    rm -rf "$part"
    mv "$STATE/node$1/containerd/root" "$part"
    mv --no-target-directory "$part" "$IMAGES/$(unpacked)"
    plant_images "$1"
    start_containerd "$1"
}

load_images() { # load_images NUMBER
    local archive loaded=$STATE/node$1/images fresh=true
    [ "$(cat "$loaded" 2>/dev/null)" != "$(image_archives)" ] || return 0
    [ ! -f "$loaded" ] || fresh=false
    for archive in $(image_archives); do
        in_containerd "$1" images import - <"$archive" >>"$STATE/logs/images.log" 2>&1 ||
            fail "node$1 does not take $archive; see $STATE/logs/images.log"
    done
    image_archives >"$loaded"
    if $fresh && [ ! -d "$IMAGES/$(unpacked)" ]; then keep_images "$1"; fi
}
