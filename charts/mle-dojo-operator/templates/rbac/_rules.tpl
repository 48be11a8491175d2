{{/*
Every right with its reason. tests/chart.sh refuses a rule without a comment. What the operator may do where episodes
are: bound by a ClusterRole, or by a Role in the one namespace that is watched.
*/}}
{{- define "dojo.rules.watched" -}}
# Tasks and Episodes are what it reconciles.
- apiGroups: [mledojo.dev]
  resources: [tasks, episodes]
  verbs: [get, list, watch]
# An Episode is deleted when its ttlAfterFinished is over.
- apiGroups: [mledojo.dev]
  resources: [episodes]
  verbs: [delete]
# Status is written by server-side apply; the spec never.
- apiGroups: [mledojo.dev]
  resources: [tasks/status, episodes/status]
  verbs: [patch]
# Children name their owner and block its deletion. Clusters with OwnerReferencesPermissionEnforcement demand this right
# for that; nothing is updated with it.
- apiGroups: [mledojo.dev]
  resources: [tasks/finalizers, episodes/finalizers]
  verbs: [update]
# An attempt is a pod: made (create), followed (list + watch), freed of its finalizer (patch), taken away on suspension,
# deadline and retry (delete). get: whether the one in the way, or the one that reports, is the one on record.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
# The relay's configuration of each attempt (create; delete where one was left without its pod), and the keys that a Task
# names (get). They have no names known beforehand. No list and no watch: ConfigMaps of others are not read.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, delete]
# Whether the claims that a Task names exist.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
# Data on persistent volumes are prepared once, by a Job of the Task.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create]
# One policy for the pods of each Task, by server-side apply (create + patch).
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, patch]
# What `kubectl describe` shows: create, and patch when the same happens again.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
