#!/usr/bin/env bash
# Builds the page of crates/hardnet-web with its WebAssembly modules; installs what it needs.
#
#   tools/web/build.sh [FOLDER]    # default: target/web
#   tools/web/build.sh check       # type-checks alone
#
# FOLDER then has the page, a module for browsers with 128-bit vectors, one for those with relaxed vector instructions
# too, and the demonstration's weights. Any server of files can serve it.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:-${CARGO_TARGET_DIR:-target}/web}")
home=$(tools/cross/install.sh wasm)
. "$home/env"
library=("$home"/root/usr/src/rustc-*/library)
target=wasm32-unknown-unknown
export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="${library[0]}"
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$home/wasm-ld"

if [ "${1:-}" = check ]; then
  RUSTFLAGS="-C target-feature=+simd128,+relaxed-simd" cargo check -Zbuild-std=std,panic_abort --target "$target" \
    -p hardnet-web
  exit
fi

# Loop strength reduction gives every load of a tile an address of its own to count up, and the browser, which has half of
# x86-64's registers for them, half the speed.
mkdir -p "$folder"
for module in hardnet:+simd128 hardnet-relaxed:+simd128,+relaxed-simd; do
  name=${module%%:*}
  RUSTFLAGS="-C target-feature=${module#*:} -C llvm-args=-disable-lsr -C strip=symbols" cargo build --release -Zbuild-std=std,panic_abort \
    --target "$target" -p hardnet-web --target-dir "$CARGO_TARGET_DIR/$name"
  cp "$CARGO_TARGET_DIR/$name/$target/release/hardnet_web.wasm" "$folder/$name.wasm"
done
cp crates/hardnet-web/page/* "$folder/"
cp weights/demo/fashion_mnist/hardnet39ds.safetensors "$folder/"
echo "built $folder"
