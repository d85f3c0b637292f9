#!/usr/bin/env bash
# Measures what needs a GPU, in one call of at most eight minutes: influence in bf16 with activations
# recomputed, plain and by the compiled kernel; steps of SFT and DPO, full and LoRA; vLLM through
# this project beside vLLM alone. Each part writes a JSON file; a part that fails leaves the others.
#
# usage: tools/gpu_check.sh [--device cuda|cpu] [--out FOLDER]
#   --device cpu is a dry run with tiny shapes, which shows that the script itself works.
# Then `make docs` turns docs/results/gpu/*.json into the tables of docs/results/speed.md.
set -u
device=cuda out=docs/results/gpu
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) echo "unknown option $1; usage: tools/gpu_check.sh [--device cuda|cpu] [--out FOLDER]" >&2; exit 2 ;;
  esac
done
case $device in
  cuda) large=llama3-8b small=llama3-1b precision=bf16 rows=64 references=16 minutes=0.8 ;;
  cpu) large=tiny small=tiny precision=fp32 rows=4 references=2 minutes=0.1 ;;
  *) echo "--device $device: expected cuda or cpu" >&2; exit 2 ;;
esac
mkdir -p "$out"
bench="${MONTESSORI:-.venv/bin/montessori} bench"
failed=0

# measure NAME SECONDS ARGUMENTS...: one part, with the most seconds that it may take.
measure() {
  local name=$1 seconds=$2 began=$SECONDS
  shift 2
  echo "== $name"
  if timeout "$seconds" $bench "$@" --device "$device" --json "$out/$name.json"; then
    echo "   $((SECONDS - began)) s"
  else
    echo "   $name: no figures (status $?)"
    failed=$((failed + 1))
  fi
}

influence="--precision $precision --checkpointing --rows $rows --reference-rows $references"
measure influence-large-plain 75 influence $large $influence --no-compile
measure influence-large-compiled 90 influence $large $influence --compile
measure influence-small-compiled 60 influence $small $influence --compile
measure train-small 90 train $small --checkpointing --minutes $minutes
measure train-large-lora 75 train $large --checkpointing --minutes $minutes --only sft-lora
if [ "$device" = cuda ]; then
  measure generate 90 generate data/micro/teacher --engine transformers,vllm
fi
echo "$failed parts without figures; the others are in $out"
[ "$failed" -eq 0 ]
