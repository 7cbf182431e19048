#!/usr/bin/env bash
# A kind cluster with three zones, the images, the chart, and the sample. Needs docker, kind, kubectl and helm.
# The images come from `npm run images` (dist/images). NAME of the cluster: the first argument, or kube-aurora.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:-kube-aurora}

for tool in docker kind kubectl helm; do
  command -v "$tool" >/dev/null || { echo "deploy/kind.sh: $tool is not on the PATH" >&2; exit 1; }
done
for image in operator storage-daemon compute-node console; do
  [ -f "dist/images/$image.tar" ] || { echo "deploy/kind.sh: dist/images/$image.tar is not there; run: npm run images" >&2; exit 1; }
done

kind create cluster --name "$name" --wait 120s --config - <<'EOF'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
  - role: worker
    labels: { topology.kubernetes.io/zone: zone-a }
  - role: worker
    labels: { topology.kubernetes.io/zone: zone-b }
  - role: worker
    labels: { topology.kubernetes.io/zone: zone-c }
EOF

for image in operator storage-daemon compute-node console; do
  kind load image-archive "dist/images/$image.tar" --name "$name"
done

context=kind-$name
kubectl --context "$context" apply -f deploy/namespace.yaml
helm --kube-context "$context" upgrade --install kube-aurora helm/kube-aurora --namespace kube-aurora-system --wait --timeout 5m
helm --kube-context "$context" test kube-aurora --namespace kube-aurora-system
kubectl --context "$context" apply -f deploy/samples/demo.yaml
kubectl --context "$context" wait --for=condition=Ready auroracluster/demo --timeout=10m
kubectl --context "$context" get auroraclusters,pods -o wide
