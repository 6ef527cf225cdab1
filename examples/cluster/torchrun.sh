#!/usr/bin/env bash
# Trains with PyTorch on all GPUs of this host:
#     examples/cluster/torchrun.sh
# or, on each of 2 hosts, where host0 is the name of the first:
#     NODES=2 HOST=host0 examples/cluster/torchrun.sh
set -euo pipefail

export KERAS_BACKEND=torch
exec torchrun --nnodes "${NODES:-1}" --nproc-per-node "${GPUS:-gpu}" \
    --rdzv-backend c10d --rdzv-endpoint "${HOST:-localhost}:29500" \
    -m examples.train_on_gpus "$@"
