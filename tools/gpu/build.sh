#!/usr/bin/env bash
# Builds `hardnet` with CUDA on a machine without a GPU: NVIDIA's compiler and libraries are Python packages.
#
#   tools/gpu/build.sh [FOLDER]    # default: target/gpu
#
# FOLDER/bundle then has the program and the libraries that it loads; tools/gpu/check.py runs it where a GPU is.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:-target/gpu}")
# Kernels are compiled to PTX of this compute capability, which later GPUs translate when the program starts.
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}

mkdir -p "$folder/stubs" "$folder/bundle"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q -r tools/gpu/requirements.txt
cuda=$(echo "$folder"/venv/lib/python3*/site-packages/nvidia/cu13)

# The linker wants lib*.so; the packages have lib*.so.N. The driver's library comes with the driver, so an empty one
# with its name stands in for it.
for library in cublas cublasLt curand nvrtc; do
    file=$(echo "$cuda"/lib/lib$library.so.*)
    ln -sf "$file" "$folder/stubs/lib$library.so"
    cp -u "$file" "$folder/bundle/"
done
cp -u "$cuda"/lib/libnvrtc-builtins.so.* "$folder/bundle/"
"${CC:-cc}" -shared -o "$folder/stubs/libcuda.so" -Wl,-soname,libcuda.so.1 -x c /dev/null
ln -sf "$cuda/lib/libcudart.so.13" "$folder/stubs/libcudart.so"
cp -u "$cuda/lib/libcudart.so.13" "$folder/bundle/"

export CUDA_PATH=$cuda CUDA_HOME=$cuda CUDA_ROOT=$cuda CUDA_TOOLKIT_ROOT_DIR=$cuda PATH="$cuda/bin:$PATH"
export RUSTFLAGS="${RUSTFLAGS:-} -L native=$folder/stubs -C link-arg=-Wl,--unresolved-symbols=ignore-in-object-files \
-C link-arg=-Wl,--allow-shlib-undefined -C link-arg=-Wl,-rpath,\$ORIGIN"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$folder/target}
features=${HARDNET_FEATURES-cuda}
cargo build --release --locked -p hardnet-cli --features "$features"
cargo build --release --locked -p hardnet-model --features "$features" --example device_speed
cp -u "$CARGO_TARGET_DIR/release/hardnet" "$CARGO_TARGET_DIR/release/examples/device_speed" "$folder/bundle/"

# Test programs have names with a hash, which Cargo prints.
cargo test --release --locked -p hardnet-model -p hardnet-tests --features "$features" \
    --test golden --test train_mode --test picture --no-run --message-format json |
    python3 -c '
import json, shutil, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["kind"] == ["test"]:
        shutil.copy2(message["executable"], sys.argv[1] + "/" + message["target"]["name"])
' "$folder/bundle"
cp -u tools/gpu/check.py tools/gpu/torch_speed.py tests/training/hardnet_torch.py "$folder/bundle/"
echo "built $folder/bundle: copy it to a machine with a GPU and run python3 check.py there"
