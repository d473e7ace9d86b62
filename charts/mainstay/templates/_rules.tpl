{{/* Rights on what lives in a watched namespace; the same for one namespace and for all. */}}
{{- define "mainstay.namespacedRules" -}}
- apiGroups: [mainstay.dev]
  resources: [nodehealthpolicies]
  verbs: [get, list, watch]
- apiGroups: [mainstay.dev]
  resources: [nodehealthpolicies/status]
  verbs: [patch]
- apiGroups: [mainstay.dev]
  resources: [noderemediations]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [mainstay.dev]
  resources: [noderemediations/status]
  verbs: [update]
# Mode Approve: who has said yes.
- apiGroups: [mainstay.dev]
  resources: [remediationapprovals]
  verbs: [list]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete, patch]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
{{- if .Values.rotation.readinessGate }}
# Pods that take part in re-routing by a readiness gate. Whoever may write the status of pods may send a Service's requests
# anywhere; see admission.yaml.
- apiGroups: [""]
  resources: [pods/status]
  verbs: [patch]
{{- end }}
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get]
# Who else serves, before a pod leaves its Services.
- apiGroups: [""]
  resources: [services]
  verbs: [list]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
{{- if .Values.jobs.enabled }}
# What a policy may ask for with remediation.job, and a FailoverGroup with handover.job. Whoever may create a Job may run pods.
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [get]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, create]
{{- end }}
{{- if .Values.failover.enabled }}
# Who signs: the groups, and what people order.
- apiGroups: [mainstay.dev]
  resources: [failovergroups]
  verbs: [get, list, watch]
# What a ladder wants is ordered like what a person wants.
- apiGroups: [mainstay.dev]
  resources: [signingorders]
  verbs: [get, list, watch, create]
- apiGroups: [mainstay.dev]
  resources: [failovergroups/status, signingorders/status]
  verbs: [patch]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* Rights on what has no namespace. */}}
{{- define "mainstay.clusterRules" -}}
- apiGroups: [mainstay.dev]
  resources: [networks]
  verbs: [list, watch]
- apiGroups: [mainstay.dev]
  resources: [networks/status]
  verbs: [patch]
- apiGroups: [mainstay.dev]
  resources: [networkledgers]
  verbs: [get, create, update]
{{- if .Values.namespaces }}
# A namespace that goes away takes its role with it, often before its journal: what was under way must still be ended and
# let go, or the namespace would never be gone. For all namespaces the same rights are granted above the namespaces anyway.
- apiGroups: [mainstay.dev]
  resources: [noderemediations]
  verbs: [get, patch]
- apiGroups: [mainstay.dev]
  resources: [noderemediations/status]
  verbs: [update]
{{- end }}
{{- if .Values.failover.enabled }}
# The records that say which member signs which heights.
- apiGroups: [mainstay.dev]
  resources: [signingidentities]
  verbs: [get, list, watch]
- apiGroups: [mainstay.dev]
  resources: [signingidentities/status]
  verbs: [update]
# In a namespace that is being deleted nobody is made a holder.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}
# A pod on a cordoned or lost node is left alone.
- apiGroups: [""]
  resources: [nodes]
  verbs: [get]
# An operator that meets an older schema than its own only observes.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames:
  - failovergroups.mainstay.dev
  - networkledgers.mainstay.dev
  - networks.mainstay.dev
  - nodehealthpolicies.mainstay.dev
  - noderemediations.mainstay.dev
  - remediationapprovals.mainstay.dev
  - signingidentities.mainstay.dev
  - signingorders.mainstay.dev
  verbs: [get]
# Mode Approve: whether approvers are held to their own names.
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicies, validatingadmissionpolicybindings]
  resourceNames: [{{ include "mainstay.globalName" . }}-approval]
  verbs: [get]
{{- end }}

{{/* Rights where kubelets renew the Leases of their nodes: whether the one lives that says that a launcher's pod has ended. */}}
{{- define "mainstay.nodeLeaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get]
{{- end }}

{{/* Rights in the release namespace: the lease, the emergency stop, the other replicas. `create` and `list` know no names. */}}
{{- define "mainstay.ownRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "mainstay.fullname" . }}]
  verbs: [get, update]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ include "mainstay.fullname" . }}-stop]
  verbs: [get]
# A target that keeps silent is asked for from the other replicas too, before anything is done.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end }}

{{/* A role and its binding: `name`, `namespace` (none for the cluster), `rules`, `root`. */}}
{{- define "mainstay.grant" -}}
{{- $prefix := ternary "" "Cluster" (hasKey . "namespace") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $prefix }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "mainstay.labels" .root | nindent 4 }}
rules:
{{ .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $prefix }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "mainstay.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $prefix }}Role
  name: {{ .name }}
subjects:
- kind: ServiceAccount
  name: {{ include "mainstay.fullname" .root }}
  namespace: {{ .root.Release.Namespace }}
{{- end }}
