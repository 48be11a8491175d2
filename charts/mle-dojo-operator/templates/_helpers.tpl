{{/* Name of everything. Short enough for a Service with a suffix. */}}
{{- define "dojo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "operator" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-operator" (.Release.Name | trunc 41 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* Name of what belongs to no namespace: two releases may have the same name. */}}
{{- define "dojo.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "dojo.fullname" .) -}}
{{- end -}}

{{/* The namespace whose episodes are run, with scope Namespace. */}}
{{- define "dojo.watchNamespace" -}}
{{- .Values.watchNamespace | default .Release.Namespace -}}
{{- end -}}

{{- define "dojo.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "dojo.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* As the subject of a binding. */}}
{{- define "dojo.subject" -}}
kind: ServiceAccount
name: {{ include "dojo.serviceAccountName" . }}
namespace: {{ .Release.Namespace }}
{{- end -}}

{{- define "dojo.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* What never changes: the selector of the Deployment, and what the episodes' NetworkPolicies look for. */}}
{{- define "dojo.selector" -}}
app.kubernetes.io/name: mle-dojo-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dojo.commonLabels" -}}
app.kubernetes.io/part-of: mle-dojo
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "dojo.labels" -}}
{{ include "dojo.selector" . }}
{{ include "dojo.commonLabels" . }}
{{- end -}}

{{/* The pod of the hook has another name, or the operator's own Deployment, Service and budget would count it in. */}}
{{- define "dojo.uninstallSelector" -}}
app.kubernetes.io/name: mle-dojo-uninstall
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Metadata of what exists only while Helm uninstalls. A failed hook stays, for its log to be read. */}}
{{- define "dojo.hookAnnotations" -}}
helm.sh/hook: pre-delete
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* true: the archive is a volume of the operator's. */}}
{{- define "dojo.archiveVolume" -}}
{{- if and .Values.archive.enabled (not .Values.archive.url) -}}true{{- end -}}
{{- end -}}

{{- define "dojo.archiveClaim" -}}
{{- .Values.archive.volume.claimName | default (printf "%s-archive" (include "dojo.fullname" .)) -}}
{{- end -}}

{{/* The rights of restricted Pod Security; IDs are the image's, or the cluster's where it assigns them. */}}
{{- define "dojo.podSecurity" -}}
runAsNonRoot: true
{{- if not .Values.episodes.assignedIds }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "dojo.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
