#!/usr/bin/env bash
# Everything that is to be known on a GPU: is each implementation right there, and how
# fast are the operator and the networks, with PyTorch and with JAX.
#
#     bash benchmarks/gpu.sh [folder for results]
#
# It needs this checkout, Python 3.11 or newer, and a GPU; the machine may be offline.
# What its Python lacks is installed from benchmarks/wheels/ where that folder exists,
# into an environment beside it (fill it on a machine with a network:
# `pip download --only-binary :all: --dest benchmarks/wheels keras huggingface-hub
# pandas pillow click ml_dtypes pytest hypothesis matplotlib`). It says what it skips
# and fails if a check fails. About ten minutes.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-benchmarks/results}
mkdir -p "$out"
failed=""

python=${PYTHON:-python3}
if [ -d benchmarks/wheels ]; then
    "$python" -m venv --system-site-packages benchmarks/.gpu-environment
    python=$PWD/benchmarks/.gpu-environment/bin/python
    "$python" -m pip install --quiet --no-index --find-links benchmarks/wheels \
        keras huggingface-hub pandas pillow click ml_dtypes pytest hypothesis matplotlib \
        || echo "SKIPPED: some wheels of benchmarks/wheels could not be installed"
fi

has_gpu() {  # of the backend that it is given
    case $1 in
    torch) "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' ;;
    jax) "$python" -c 'import jax, sys; sys.exit(jax.default_backend() != "gpu")' ;;
    esac 2>/dev/null
}

run() {  # a name for the log, then a command
    local name=$1
    shift
    echo "== $name: $*"
    "$@" 2>&1 | tee "$out/$name.log" | tail -n "${LINES_SHOWN:-60}"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed="$failed $name"
}

for backend in torch jax; do
    export KERAS_BACKEND=$backend
    if ! has_gpu $backend; then
        echo "SKIPPED: $backend, which is not installed here or finds no GPU"
        continue
    fi
    tests="tests/ops/test_implementations.py tests/layers/test_published_values.py"
    if [ $backend = torch ]; then
        tests="$tests tests/ops/test_torch_triton.py"
        export KERAS_INVOLUTION_REQUIRE=triton
    fi
    run "correct_$backend" "$python" -m pytest -q -p no:cacheprovider $tests
    for dtype in float32 bfloat16; do
        run "operator_${backend}_$dtype" "$python" -m benchmarks.operator --device gpu \
            --batch 256 --dtype $dtype --repeats 9 --output "$out"
    done
    for dtype in float32 bfloat16; do
        run "network_${backend}_$dtype" "$python" -m benchmarks.network --device gpu \
            --batch 64 --dtype $dtype --rounds 1 --output "$out"
    done
    run "scaling_$backend" "$python" -m benchmarks.scaling --device gpu --output "$out"
done

if [ -n "$failed" ]; then echo "FAILED:$failed"; exit 1; fi
