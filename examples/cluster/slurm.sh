#!/usr/bin/env bash
# Trains on 2 hosts of 4 GPUs each: sbatch examples/cluster/slurm.sh
#
# A task is a process. JAX and TensorFlow take all GPUs of a host in one process, PyTorch
# one in each: with it, set --ntasks-per-node to the number of GPUs. `distribute` reads
# from SLURM who is who. Expect "Running on 8 GPUs in 2 processes (jax): 8 copies".
#SBATCH --job-name=rednet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=01:00:00
set -euo pipefail

export KERAS_BACKEND="${KERAS_BACKEND:-jax}"
# Only srun starts a process for every task; a killed one ends the others.
srun --kill-on-bad-exit=1 python -m examples.train_on_gpus --output "${OUTPUT:-gpus}"
