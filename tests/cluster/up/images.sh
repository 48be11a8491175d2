# shellcheck shell=bash
# Images of a node. Unpacking them takes longer than all the rest of `up`, so it is done once: the first containerd's
# folder is kept in the cache, and nodes begin with a copy of it made of hard links.

seed() { echo "$IMAGES/seed-$(image_archives | digest)"; }

# Layers never change, so that links will do; databases do. Fails where the cache is on another file system.
link_tree() { # link_tree FROM TO
    local database
    cp --archive --link "$1" "$2" 2>/dev/null || {
        rm -rf "$2"
        return 1
    }
    while read -r database; do
        cp --archive --remove-destination "$1/$database" "$2/$database"
    done < <(find "$1" -name '*.db' -printf '%P\n')
}

# For a node without a containerd as yet.
plant_images() { # plant_images NUMBER
    local root=$STATE/node$1/containerd/root
    [ -d "$(seed)" ] && [ ! -d "$root" ] || return 0
    mkdir -p "${root%/*}"
    ! link_tree "$(seed)" "$root" || image_archives >"$STATE/node$1/images"
}

# A containerd that writes is no source for a copy.
keep_images() { # keep_images NUMBER
    local part
    part=$(seed).$SLOT
    stop "containerd$1"
    ! link_tree "$STATE/node$1/containerd/root" "$part" || mv --no-target-directory "$part" "$(seed)" || rm -rf "$part"
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
    if $fresh && [ ! -d "$(seed)" ]; then keep_images "$1"; fi
}
