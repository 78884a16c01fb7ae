#!/usr/bin/env bash
# Tests 64-bit ARM in an emulator, as processors without and with dot products of bytes; installs what it needs.
#
#   tools/cross/test-arm.sh [short]
#
# `short` runs the tests of vectors, and of 8-bit plans and a training step against the stored hashes of AVX2; without
# it, those of all plans and all kernels too, which takes most of an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
home=$(tools/cross/install.sh)
. "$home/env"
tests=(--target aarch64-unknown-linux-gnu)
cargo test --no-run "${tests[@]}" -p hardnet-simd --lib
cargo test --no-run "${tests[@]}" -p hardnet-engine --test bits
[ "${1:-}" = short ] || cargo test --no-run "${tests[@]}" -p hardnet-kernels --lib --tests
for processor in cortex-a53 neoverse-n1 max; do
  export QEMU_CPU=$processor
  echo "emulating $processor"
  cargo test "${tests[@]}" -p hardnet-simd --lib
  if [ "${1:-}" = short ]; then
    cargo test "${tests[@]}" -p hardnet-engine --test bits -- integers training
  else
    cargo test "${tests[@]}" -p hardnet-engine --test bits
    cargo test "${tests[@]}" -p hardnet-kernels --lib --tests
  fi
done
