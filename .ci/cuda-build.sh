#!/usr/bin/env bash
# Builds the `cuda` feature on a machine that has no CUDA toolkit and no GPU, into a binary that loads the NVIDIA libraries
# at run time and falls back to the CPU without them. Run it in the crate's root; arguments go to cargo.
# Result: target/x86_64-unknown-linux-gnu/release/<binary>, about 50 MB stripped, under 8 MB as .xz.
set -euo pipefail
kit=.cuda                                   # keep it out of git
[ -d $kit ] || { python3 -m venv $kit; $kit/bin/pip install -q "cuda-toolkit[nvcc,cudart,cccl,crt,nvvm]==13.0.2"; }
home=$(echo "$PWD"/$kit/lib/python3*/site-packages/nvidia/cu13)
ln -sfn lib "$home/lib64"
mkdir -p $kit/link                          # empty stand-ins satisfy the link step; the real ones are opened at run time
for l in cuda cublas cublasLt curand nvrtc cudnn; do
  [ -e $kit/link/lib$l.so ] || gcc -shared -o $kit/link/lib$l.so -x c /dev/null
done
cp "$home/lib/libcudart_static.a" $kit/link/libcudart.a
export CUDA_HOME=$home PATH=$home/bin:$PATH
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90} CUDAFORGE_THREADS=${CUDAFORGE_THREADS:-2}
export RUSTFLAGS="--cfg feature=\"dynamic-loading\" -L native=$PWD/$kit/link"
# --target keeps RUSTFLAGS away from build scripts, where cudarc refuses the extra cfg
exec cargo ${CARGO_VERB:-build --release} --features cuda-dlopen --target x86_64-unknown-linux-gnu "$@"
