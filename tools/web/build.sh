#!/usr/bin/env bash
# Builds the page of crates/hardnet-web with its WebAssembly modules; installs what it needs.
#
#   tools/web/build.sh [FOLDER]    # default: target/web
#   tools/web/build.sh check       # type-checks alone
#
# FOLDER then has the page, a module for browsers with 128-bit vectors, one for those with relaxed vector instructions
# too, one of these with threads, and the demonstration's weights. Any server of files can serve it; threads need two
# headers. Where npm is, it has the package hardnet-web.tgz as well.
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
  RUSTFLAGS="-C target-feature=+simd128,+relaxed-simd,+atomics" cargo check -Zbuild-std=std,panic_abort --target "$target" \
    -p hardnet-web
  exit
fi

# build NAME FEATURES [OPTION...]: a module. Loop strength reduction gives every load of a tile an address of its own to
# count up, and the browser, which has half of x86-64's registers for them, half the speed.
build() {
  local name=$1 features=$2; shift 2
  RUSTFLAGS="-C target-feature=$features -C llvm-args=-disable-lsr -C strip=symbols $*" cargo rustc --release \
    -Zbuild-std=std,panic_abort --target "$target" -p hardnet-web --target-dir "$CARGO_TARGET_DIR/$name" --crate-type cdylib
  cp "$CARGO_TARGET_DIR/$name/$target/release/hardnet_web.wasm" "$folder/$name.wasm"
}

mkdir -p "$folder"
build hardnet +simd128
build hardnet-relaxed +simd128,+relaxed-simd
# Memory that threads share is made by the page, with these bounds (`SHARED` in hardnet.js).
shared=(--shared-memory --import-memory --initial-memory=$((64 << 20)) --max-memory=$((2 << 30))
  --export=__stack_pointer --export=__wasm_init_tls --export=__tls_size --export=__tls_align)
build hardnet-threads +simd128,+relaxed-simd,+atomics,+bulk-memory,+mutable-globals \
  "${shared[@]/#/-C link-arg=}"
cp crates/hardnet-web/page/{index.html,style.css,app.js} crates/hardnet-web/npm/*.js "$folder/"
cp weights/demo/fashion_mnist/hardnet39ds.safetensors "$folder/"
# The package, if npm is there.
if type npm >/dev/null 2>&1; then
  package=$(mktemp -d)
  trap 'rm -r "$package"' EXIT
  cp crates/hardnet-web/npm/* "$folder"/hardnet*.wasm LICENSE-APACHE LICENSE-MIT "$package/"
  (cd "$package" && npm pack --silent --pack-destination "$folder" >/dev/null)
  mv "$folder"/hardnet-web-*.tgz "$folder/hardnet-web.tgz"
fi
echo "built $folder"
