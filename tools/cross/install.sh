#!/usr/bin/env bash
# Installs what builds for other processors and systems into a folder of its own, on Debian 12 for x86-64: the system
# stays as it is, and no root is needed. Prints the folder.
#
#   tools/cross/install.sh [std-source] [mca] [wasm]
#
# Always: a Rust compiler with the standard library of 64-bit ARM, which are one version by construction (Debian's
# compiler for its browsers), a linker, the C library of ARM, and an emulator. With `std-source`: the source of the
# standard library, to check for targets that have no package of it. With `mca`: LLVM's machine code analyzer. With
# `wasm`: LLVM's linker, which links WebAssembly, and that source.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
home=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")/tools/cross
sources=/etc/apt/sources.list.d/debian.sources

fail() { echo "tools/cross: $*" >&2; exit 1; }
type apt-get dpkg-deb >/dev/null 2>&1 || fail "needs Debian's apt-get and dpkg-deb"
[ "$(dpkg --print-architecture)" = amd64 ] || fail "needs an x86-64 system"
[ -e "$sources" ] || sources=/etc/apt/sources.list
[ -e "$sources" ] || fail "finds no sources of packages"

mkdir -p "$home"/{lists/partial,cache/archives/partial,root,packages}
: >"$home/status"
cat >"$home/apt.conf" <<END
Dir::State::lists "$home/lists";
Dir::State::status "$home/status";
Dir::Cache "$home/cache";
Dir::Etc::sourcelist "$sources";
Dir::Etc::sourceparts "-";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "";
END
export APT_CONFIG=$home/apt.conf

listed=()
packages=(
  rustc-web:amd64 libstd-rust-web-dev:amd64 libstd-rust-web-dev:arm64
  gcc-12-aarch64-linux-gnu cpp-12-aarch64-linux-gnu binutils-aarch64-linux-gnu
  libgcc-12-dev-arm64-cross libgcc-s1-arm64-cross libc6-arm64-cross libc6-dev-arm64-cross linux-libc-dev-arm64-cross
  qemu-user-static
)
for part in "$@"; do
  case $part in
    std-source) packages+=(rust-web-src) ;;
    mca) packages+=(LLVM) ;;
    wasm) packages+=(rust-web-src LLD) ;;
    *) fail "does not know part $part, expected std-source, mca or wasm" ;;
  esac
done

# What is there already is kept: delete the folder to take newer packages.
unpack() { # PACKAGE...
  local missing=() package
  for package in "$@"; do [ -e "$home/packages/$package" ] || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ -e "$home/updated" ] || { apt-get -qq update >&2 && touch "$home/updated"; } || fail "cannot read lists of packages"
  rm -f "$home"/*.deb
  (cd "$home" && apt-get -qq download "${missing[@]}" >&2) || fail "cannot download ${missing[*]}"
  for package in "$home"/*.deb; do
    # Of the emulators only the one of this processor.
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$home/root" --wildcards \
      --exclude='./usr/share/*' --exclude='*/lto1' --exclude='*lto-dump*' --exclude='*/qemu-*-static'
    case $package in
      */qemu-user-static_*) dpkg-deb --fsys-tarfile "$package" | tar -x -C "$home/root" ./usr/bin/qemu-aarch64-static ;;
    esac
  done
  rm -f "$home"/*.deb
  for package in "${missing[@]}"; do touch "$home/packages/$package"; done
}

depends() { apt-cache depends "$1" | sed -n "s/^  Depends: \($2\)\$/\1/p" | head -1; }

for package in "${packages[@]}"; do [[ $package = LL[VD]* ]] || listed+=("$package"); done
unpack "${listed[@]}"
# The compiler's libraries, and the version of LLVM that they were built with.
if [ ! -e "$home/packages/compiler" ]; then
  library=$(depends libstd-rust-web-dev 'libstd-rust-web-[0-9.]*')
  llvm=$(depends "$library" 'libllvm[0-9]*')
  unpack "$library" "$llvm"
  echo "${llvm#lib}" >"$home/packages/compiler"
fi
if [[ " ${packages[*]} " == *" LLVM "* ]]; then
  version=$(sed 's/llvm//' "$home/packages/compiler")
  unpack "llvm-$version"
  ln -sf "llvm-mca-$version" "$home/root/usr/bin/llvm-mca"
fi

if [[ " ${packages[*]} " == *" LLD "* ]]; then
  version=$(sed 's/llvm//' "$home/packages/compiler")
  unpack "lld-$version"
  ln -sf "wasm-ld-$version" "$home/root/usr/bin/wasm-ld"
fi

tool() { # NAME COMMAND: a script that runs a program of the folder with the folder's libraries
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "'$home/root/usr/lib/x86_64-linux-gnu'" "$2" >"$home/$1"
  chmod +x "$home/$1"
}
usr=$home/root/usr
tool rustc "'$usr/bin/rustc'"
tool cc "'$usr/bin/aarch64-linux-gnu-gcc-12' '-B$usr/lib/gcc-cross/aarch64-linux-gnu/12/' \
'-B$usr/aarch64-linux-gnu/bin/' '-B$usr/aarch64-linux-gnu/lib/' '--sysroot=$home/root' \
-isystem '$usr/aarch64-linux-gnu/include'"
tool ar "'$usr/bin/aarch64-linux-gnu-ar'"
tool mca "'$usr/bin/llvm-mca'"
tool wasm-ld "'$usr/bin/wasm-ld'"
tool emulate "'$usr/bin/qemu-aarch64-static' -L '$usr/aarch64-linux-gnu'"

cat >"$home/env" <<END
# Cargo for 64-bit ARM: . this file, then cargo test --target aarch64-unknown-linux-gnu. QEMU_CPU names a processor.
export RUSTC='$home/rustc'
export CARGO_TARGET_DIR='$(dirname "$(dirname "$home")")/cross'
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER='$home/cc'
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='$home/emulate'
export CC_aarch64_unknown_linux_gnu='$home/cc' AR_aarch64_unknown_linux_gnu='$home/ar'
END
echo "$home"
