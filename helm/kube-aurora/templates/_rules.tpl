{{/* In the namespaces of clusters. operator/src/kube/resources.ts has the same table; a test compares them. */}}
{{- define "kube-aurora.namespacedRules" -}}
- apiGroups: [kube-aurora.dev]
  resources: [auroraclusters]
  verbs: [list, watch, patch]
- apiGroups: [kube-aurora.dev]
  resources: [auroraclusters/status]
  verbs: [patch]
# Owner references that block the owner's deletion need this where OwnerReferencesPermissionEnforcement is on.
- apiGroups: [kube-aurora.dev]
  resources: [auroraclusters/finalizers]
  verbs: [update]
- apiGroups: ['']
  resources: [pods, persistentvolumeclaims, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: ['']
  resources: [secrets, configmaps]
  verbs: [get, list, watch, create, patch]
- apiGroups: ['']
  resources: [events]
  verbs: [get, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
{{- end -}}

{{/* What the console looks at. */}}
{{- define "kube-aurora.consoleRules" -}}
- apiGroups: [kube-aurora.dev]
  resources: [auroraclusters]
  verbs: [list]
- apiGroups: ['']
  resources: [pods, events]
  verbs: [list]
{{- end -}}

{{/* Of what is in no namespace: which zones have nodes and whether a writer's is down; whether claims may grow. */}}
{{- define "kube-aurora.clusterRules" -}}
- apiGroups: ['']
  resources: [nodes]
  verbs: [list, watch]
- apiGroups: [storage.k8s.io]
  resources: [storageclasses]
  verbs: [list, watch]
{{- end -}}
