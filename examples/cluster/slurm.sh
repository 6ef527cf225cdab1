#!/usr/bin/env bash
# Trains on 2 hosts with 4 GPUs each: sbatch examples/cluster/slurm.sh
#
# A task is a process. With JAX and TensorFlow, one process uses all GPUs of a host. With
# PyTorch, each process uses one GPU: set --ntasks-per-node to the number of GPUs.
# `distribute` reads rank and world size from SLURM. Expect "Running on 8 GPUs in 2
# processes (jax): 8 copies".
#SBATCH --job-name=rednet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=01:00:00
set -euo pipefail

export KERAS_BACKEND="${KERAS_BACKEND:-jax}"
# srun starts one process per task. If one fails, the others are stopped.
srun --kill-on-bad-exit=1 python -m examples.train_on_gpus --output "${OUTPUT:-gpus}"
