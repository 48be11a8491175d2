#!/usr/bin/env bash
# Shows what runs. Exit code: 0 all of it, 1 some of it, 3 nothing.
set -euo pipefail
. "$(dirname "$0")/lib/say.sh"
. "$(dirname "$0")/lib/paths.sh"
. "$(dirname "$0")/lib/process.sh"

if [ ! -f "$STATE/$MARK" ]; then
    say "nothing is up in $STATE; 'make cluster-up' raises a cluster"
    exit 3
fi
dead=0
for record in "$STATE"/pids/*; do
    name=$(basename "$record")
    if alive "$name"; then verdict=running; else verdict=DEAD dead=1; fi
    printf '%-24s %s\n' "$name" "$verdict"
done
printf '%-24s %s\n' kubeconfig "$OUR_KUBECONFIG" "audit log" "$AUDIT_LOG" logs "$STATE/logs"
# Without the cable its address may be somebody else's.
still_there && "$BIN/kubectl" --kubeconfig="$OUR_KUBECONFIG" get nodes \
    --label-columns nvidia.com/gpu.product,nvidia.com/gpu.count || dead=1
[ $dead = 0 ] || say "not all of it runs; 'make cluster-up' starts what is missing"
exit $dead
