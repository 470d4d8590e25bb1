{{- define "headwater.labels" -}}
app.kubernetes.io/name: headwater
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "headwater.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "headwater.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* What brokers and gateways have in common; the list's rest is theirs. */}}
{{- define "headwater.env" -}}
- name: HEADWATER_DATABASE
  valueFrom:
    secretKeyRef: {name: {{ .Values.database.secret }}, key: {{ .Values.database.key }}}
- {name: HEADWATER_INTERNAL_LISTEN, value: "0.0.0.0:7070"}
- {name: HEADWATER_CLUSTER_SECRET_FILE, value: /etc/headwater/cluster-secret}
{{- if .Values.tls.internal }}
- {name: HEADWATER_TLS_INTERNAL_CERT, value: /etc/headwater-internal-tls/tls.crt}
- {name: HEADWATER_TLS_INTERNAL_KEY, value: /etc/headwater-internal-tls/tls.key}
- {name: HEADWATER_TLS_INTERNAL_CA, value: /etc/headwater-internal-tls/ca.crt}
{{- end }}
{{- with .Values.publicUrl }}
- {name: HEADWATER_PUBLIC_URL, value: {{ . | quote }}}
{{- end }}
{{- end }}

{{- define "headwater.container" -}}
image: {{ include "headwater.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
# A start replays the journal: it may take a while, and is no reason to be killed.
startupProbe:
  httpGet: {path: /healthz, port: internal, scheme: {{ include "headwater.scheme" . }}}
  periodSeconds: 2
  failureThreshold: 150
readinessProbe:
  httpGet: {path: /readyz, port: internal, scheme: {{ include "headwater.scheme" . }}}
  periodSeconds: 2
livenessProbe:
  httpGet: {path: /healthz, port: internal, scheme: {{ include "headwater.scheme" . }}}
  periodSeconds: 10
  failureThreshold: 6
{{- end }}

{{- define "headwater.pod" -}}
serviceAccountName: {{ include "headwater.name" . }}
automountServiceAccountToken: false
# Kubernetes' variables of other services have the same prefix as the settings.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "headwater.scheme" -}}
{{ if .Values.tls.internal }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{- define "headwater.secretMounts" -}}
- {name: cluster-secret, mountPath: /etc/headwater, readOnly: true}
{{- if .Values.tls.internal }}
- {name: internal-tls, mountPath: /etc/headwater-internal-tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "headwater.secretVolume" -}}
- name: cluster-secret
  secret:
    secretName: {{ .Values.clusterSecret }}
    items: [{key: cluster-secret, path: cluster-secret}]
    defaultMode: 0440
{{- with .Values.tls.internal }}
- {name: internal-tls, secret: {secretName: {{ . }}, defaultMode: 0440}}
{{- end }}
{{- end }}
