{{/* Name of everything in the release namespace, and of the lease. A name that is cut keeps a hash of the whole. */}}
{{- define "mainstay.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = .Release.Name | replace "." "-" -}}
{{- if not (contains "mainstay" $name) -}}
{{- $name = printf "%s-mainstay" $name -}}
{{- end -}}
{{- end -}}
{{- if gt (len $name) 52 -}}
{{- $name = printf "%s-%s" (trunc 43 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{/*
Name of everything that several releases could fight over: cluster-scoped objects and those in other namespaces. The
first dot separates, for no namespace has one; 63 + 1 + 52 characters, where 253 are allowed.
*/}}
{{- define "mainstay.globalName" -}}
{{ .Release.Namespace }}.{{ include "mainstay.fullname" . }}
{{- end }}

{{- define "mainstay.selectorLabels" -}}
app.kubernetes.io/name: mainstay
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mainstay.labels" -}}
{{ include "mainstay.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mainstay
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The operator's pods, not those of the retire Job. */}}
{{- define "mainstay.operatorLabels" -}}
{{ include "mainstay.selectorLabels" . }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "mainstay.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* What the pods of the Deployment and of the retire Job have in common: who they are and what they may not do. */}}
{{- define "mainstay.podSpec" -}}
serviceAccountName: {{ include "mainstay.fullname" . }}
automountServiceAccountToken: true
# A Service named `mainstay` would otherwise put variables such as MAINSTAY_PORT into the environment.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mainstay.container" -}}
name: mainstay
image: {{ include "mainstay.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources: {{- toYaml .Values.resources | nindent 2 }}
env:
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
# Owner of networks and name of the lease; the stop ConfigMap is this name with `-stop`.
- name: MAINSTAY_INSTALLATION
  value: {{ .Release.Namespace }}/{{ include "mainstay.fullname" . }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Rest of the arguments: `--namespaces a,b`, or nothing for all of them. */}}
{{- define "mainstay.namespaceArgs" -}}
{{- with .Values.namespaces }}, --namespaces, {{ join "," . | quote }}{{ end -}}
{{- end }}
