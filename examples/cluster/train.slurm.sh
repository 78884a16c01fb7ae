#!/bin/sh
# Trains one network by 8 ranks on 4 nodes, and resumes when the job is started again: sbatch train.slurm.sh
#SBATCH --job-name=hardnet-train
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=train.log
# Two minutes before the time is over, the ranks are asked to stop and save the step.
#SBATCH --signal=TERM@120
set -eu

if [ -e run/state.safetensors ]; then
    set -- --resume run
else
    set -- -o run --model hardnet68 --data-dir /data/train --val-dir /data/val -b 512 --virtual-shards 16
fi

# `srun --mpi=list` shows what this Slurm has: pmix for Open MPI, pmi2 for MPICH.
code=0
srun --mpi=pmix --kill-on-bad-exit=1 hardnet train "$@" --threads 8 -j 8 --checkpoint-every 200 || code=$?

# The ranks were asked to stop: the job continues when it gets its next turn.
if [ "$code" = 130 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
