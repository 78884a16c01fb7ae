#!/usr/bin/env bash
# Type-checks the workspace, tests included, for macOS, Windows and 64-bit ARM Linux; installs what it needs.
#
#   tools/cross/check-types.sh [TARGET...]
#
# Nothing is linked or run. Build scripts that compile C (ring's) are given a compiler that writes empty objects.
set -euo pipefail
cd "$(dirname "$0")/../.."
home=$(tools/cross/install.sh std-source)
. "$home/env"
library=("$home"/root/usr/src/rustc-*/library)

printf '#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = -o ] && : >"$2"; shift; done\n' >"$home/no-cc"
printf '#!/bin/sh\nfor file; do case $file in *.a | *.lib) : >"${file#[-/]out:}" ;; esac; done\n' >"$home/no-ar"
chmod +x "$home"/no-{cc,ar}
# Ring wants a compiler of this name for Windows on ARM.
mkdir -p "$home/no-clang" && ln -sf ../no-cc "$home/no-clang/clang"

[ $# -gt 0 ] || set -- aarch64-apple-darwin x86_64-apple-darwin x86_64-pc-windows-msvc aarch64-pc-windows-msvc \
  aarch64-unknown-linux-gnu
for target in "$@"; do
  echo "checking $target"
  options=(--target "$target" --workspace --all-targets)
  case $target in
    *-apple-darwin) options+=(--features hardnet-cli/metal) ;;
  esac
  # The standard library of these targets has no package and is checked from its source.
  name=${target//-/_}
  case $target in
    *-linux-gnu) cargo check "${options[@]}" ;;
    *) env PATH="$home/no-clang:$PATH" "CC_$name=$home/no-cc" "AR_$name=$home/no-ar" RUSTC_BOOTSTRAP=1 \
      __CARGO_TESTS_ONLY_SRC_ROOT="${library[0]}" cargo check -Zbuild-std "${options[@]}" ;;
  esac
done
