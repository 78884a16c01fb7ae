#!/bin/sh
# An array of Slurm jobs, each of which evaluates a part of the images: sbatch eval.slurm.sh
#SBATCH --job-name=hardnet-eval
#SBATCH --array=0-15
#SBATCH --cpus-per-task=8
#SBATCH --output=log-%a.txt
set -eu
part=$SLURM_ARRAY_TASK_ID

hardnet eval --weights /data/hardnet68.safetensors --data-dir /data/val --threads 8 -j 8 --shard auto \
    --json --predictions "predictions-$part.jsonl" --force > "result-$part.json"
