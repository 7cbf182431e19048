{{- define "kube-aurora.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kube-aurora.operator" -}}
{{ include "kube-aurora.fullname" . }}-operator
{{- end -}}

{{- define "kube-aurora.console" -}}
{{ include "kube-aurora.fullname" . }}-console
{{- end -}}

{{- define "kube-aurora.consoleSelector" -}}
app.kubernetes.io/name: kube-aurora
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: console
{{- end -}}

{{/* Of what is not in a namespace: several operators, one for each watched namespace, may share a cluster. */}}
{{- define "kube-aurora.clusterWide" -}}
{{ include "kube-aurora.operator" . }}{{ with .Values.watchNamespace }}-{{ . }}{{ end }}
{{- end -}}

{{/* The ServiceAccount that reviews tokens of those who log in by one. */}}
{{- define "kube-aurora.tokenReview" -}}
{{ include "kube-aurora.fullname" . }}-token-review
{{- end -}}

{{- define "kube-aurora.tokenReviewClusterWide" -}}
{{ include "kube-aurora.tokenReview" . }}{{ with .Values.watchNamespace }}-{{ . }}{{ end }}
{{- end -}}

{{- define "kube-aurora.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "kube-aurora.operator" .) }}
{{- end -}}

{{/* What selectors select by: never changes from one version to the next. Releases in one namespace stay apart. */}}
{{- define "kube-aurora.operatorSelector" -}}
app.kubernetes.io/name: kube-aurora
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "kube-aurora.labels" -}}
app.kubernetes.io/name: kube-aurora
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image by its short name and the key of its digest: (list . "operator" "operator"). */}}
{{- define "kube-aurora.image" -}}
{{- $root := index . 0 -}}
{{- $images := $root.Values.images -}}
{{- $digest := index $images.digests (index . 2) -}}
{{- with $images.registry }}{{ . }}/{{ end }}{{ $images.repository }}/{{ index . 1 -}}
{{- if $digest }}@{{ $digest }}{{ else }}:{{ $images.tag | default $root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/*
Those of networkPolicies.clusterNamespaces that are not there: nothing can be made in them. Of a chart that is only rendered nobody knows; where
there is an API server, it has kube-system.
*/}}
{{- define "kube-aurora.missingNamespaces" -}}
{{- $missing := list }}
{{- if and .Values.networkPolicies.enabled (not .Values.watchNamespace) .Values.networkPolicies.clusterNamespaces (lookup "v1" "Namespace" "" "kube-system") }}
{{- range .Values.networkPolicies.clusterNamespaces }}
{{- if and (ne . $.Release.Namespace) (not (lookup "v1" "Namespace" "" .)) }}{{ $missing = append $missing . }}{{ end }}
{{- end }}
{{- end }}
{{- $missing | toJson }}
{{- end -}}

{{/* Namespaces whose clusters' pods get NetworkPolicies. */}}
{{- define "kube-aurora.clusterNamespaces" -}}
{{- $wanted := .Values.networkPolicies.clusterNamespaces }}
{{- if .Values.watchNamespace }}{{ $wanted = list .Values.watchNamespace }}{{ end }}
{{- $there := list }}
{{- $missing := include "kube-aurora.missingNamespaces" . | fromJsonArray }}
{{- range $wanted }}{{ if not (has . $missing) }}{{ $there = append $there . }}{{ end }}{{ end }}
{{- $there | toJson }}
{{- end -}}

{{/* Whether a ValidatingAdmissionPolicy protects clusters; Kubernetes has them from 1.30 on. Empty for no. */}}
{{- define "kube-aurora.deletionPolicy" -}}
{{- if and .Values.deletionProtection.policy (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) }}yes{{ end -}}
{{- end -}}
