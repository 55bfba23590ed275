#!/usr/bin/env bash
# What one GPU does, in at most 8 minutes: exactness, speed by precision, host waits, long prompts, an 8B model's shape.
#
#   bash benchmarks/gpu.sh                 results in $OUT (default: gpu_out), which is made; prints a report
#   STEPS="tests gemma" bash benchmarks/gpu.sh                 some steps only
#   DEVICE=cpu TINY=1 bash benchmarks/gpu.sh                   the same steps with tiny shapes, on any machine
#
# Needs torch, transformers, accelerate, safetensors, numpy, scipy, PyYAML and pytest: no Ray, no Zarr, no internet.
# Each step is a process with a time limit of its own, the most valuable first; what a step printed stays in $OUT.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
OUT=${OUT:-$PWD/gpu_out}; LIMIT=${LIMIT:-470}; DEVICE=${DEVICE:-cuda}; TINY=${TINY:-}; PYTHON=${PYTHON:-python3}
STEPS=${STEPS:-tests gemma decoders waits llama long replicas}
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$OUT"; START=$SECONDS
GEMMA=gemma-2-2b; LLAMA=llama-3.1-8b; SHORT=64; LONG=2048; NODES=7500; SIZE=()
if [ -n "$TINY" ]; then GEMMA=tiny; LLAMA=tiny; SHORT=24; LONG=48; NODES=200; SIZE=(--features 512 --active 12); fi

attribution() {  # shape, tokens, nodes, then further flags
  "$PYTHON" benchmarks/attribution.py --shape "$1" --tokens "$2" --max-feature-nodes "$3" --device "$DEVICE" "${SIZE[@]}" "${@:4}"
}
# PYTEST_DISABLE_PLUGIN_AUTOLOAD: plugins of the machine's own are not this project's. Torch 2.9 to 2.11 warn of the older TF32 switch.
tests() {
  env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 GPU_TESTS_DEVICE="$DEVICE" \
    "$PYTHON" -m pytest tests/gpu -q --no-header -p no:cacheprovider -o filterwarnings=default
}
gemma() {  # with the round size that a GPU gets, then with that of a CPU
  attribution "$GEMMA" "$SHORT" "$NODES" --repeats 2 --sweep-dtype bfloat16 --round-size 1024
  attribution "$GEMMA" "$SHORT" "$NODES" --repeats 2 --sweep-dtype bfloat16 float32 tf32
}
decoders() {  # in main memory, for a set that is too large for the GPU
  attribution "$GEMMA" "$SHORT" "$NODES" --repeats 2 --sweep-dtype bfloat16 --round-size 1024 --decoders host
}
waits() { "$PYTHON" benchmarks/gpu_waits.py --shape "$GEMMA" --tokens "$SHORT" --device "$DEVICE" "${SIZE[@]}"; }
llama() { attribution "$LLAMA" "$SHORT" "$NODES" --repeats 1 --sweep-dtype bfloat16 tf32 --round-size 1024; }
long() { attribution "$GEMMA" "$LONG" 1024 --repeats 1 --sweep-dtype bfloat16 --keep-row-mass 0.99; }
replicas() {  # two processes share the device: what one of them leaves idle
  for _ in 1 2; do attribution "$GEMMA" "$SHORT" "$NODES" --repeats 4 --sweep-dtype bfloat16 --round-size 1024 & done; wait
}
declare -A MOST=([tests]=110 [gemma]=155 [decoders]=50 [waits]=60 [llama]=85 [long]=95 [replicas]=80)
export OUT DEVICE TINY PYTHON GEMMA LLAMA SHORT LONG NODES

[ "$DEVICE" = cpu ] || nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader
for step in $STEPS; do
  left=$((LIMIT - (SECONDS - START))); most=${MOST[$step]}; [ "$left" -lt "$most" ] && most=$left
  if [ "$most" -lt 15 ]; then echo "== $step: no time left"; continue; fi
  echo "== $step (at most $most s)"; began=$SECONDS
  # A function runs under a limit in a shell of its own, with its own process group, so that nothing of it is left over.
  timeout -k 5 "$most" bash -c "SIZE=(${SIZE[*]}); $(declare -f attribution "$step"); $step" > "$OUT/$step.txt" 2>&1; rc=$?
  tail -n 60 "$OUT/$step.txt"; echo "   rc $rc after $((SECONDS - began)) s"
done
