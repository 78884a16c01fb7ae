#!/bin/sh
# Starts the array in the current folder, and a job that merges its results when all of it are done: sh merge.slurm.sh
set -eu
array=$(sbatch --parsable "$(dirname "$0")/eval.slurm.sh")
array=${array%%;*}
echo "array $array"
sbatch --dependency="afterok:$array" --job-name=hardnet-merge \
    --wrap "hardnet merge result-*.json -o result.json && hardnet merge predictions-*.jsonl -o predictions.jsonl"
