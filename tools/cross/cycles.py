#!/usr/bin/env python3
"""Predicts the cycles of the innermost loops for ARM processors with LLVM's machine code analyzer.

    tools/cross/cycles.py            # installs what it needs by tools/cross/install.sh, builds, prints a table

A kernel's bound is what the analyzer says of its multiplications alone. Loads are predicted as hits of the first cache.
"""

import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = "aarch64-unknown-linux-gnu"
ITERATIONS = 400
PROCESSORS = {"neoverse-n1": "Neoverse N1", "cortex-a76": "Cortex-A76"}
# Neither of those has `usdot`.
I8MM_PROCESSORS = {"neoverse-v1": "Neoverse V1", "cortex-a710": "Cortex-A710"}
# Kernel, text of its mangled name, multiplication, products of one, processors.
KERNELS = [
    ("f32, tile of 6 pixels by 16 channels", r"4gemm4tile4TileKj6_Kj2_Kb0_E", "fmla", 4, PROCESSORS),
    ("f32, tile of 3 pixels by 24 channels", r"4gemm4tile4TileKj3_KB\w+_Kb0_E", "fmla", 4, PROCESSORS),
    ("f32, tile of 8 pixels by 8 channels", r"4gemm4tile4TileKj8_Kj1_Kb0_E", "fmla", 4, PROCESSORS),
    ("8-bit, `neon`, 6 pixels by 16 channels", r"detect4Neon.*quantized4tile4TileKj6_Kj2_", r"smlal2?", 4, PROCESSORS),
    ("8-bit, `neondotprod`, 6 by 16", r"NeonDotprod.*quantized4tile4TileKj6_Kj2_", "sdot", 16, PROCESSORS),
    ("8-bit, `neoni8mm`, 6 by 16", r"NeonI8mm.*quantized4tile4TileKj6_Kj2_", "usdot", 16, I8MM_PROCESSORS),
]


def build():
    """The environment of the cross compiler, its folder, and the assembly of the kernels."""
    home = subprocess.run([ROOT / "tools/cross/install.sh", "mca"], check=True, stdout=subprocess.PIPE, text=True)
    home = pathlib.Path(home.stdout.strip())
    script = f". '{home}/env' && env -0"
    pairs = subprocess.run(["bash", "-c", script], check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0")
    env = dict(pair.split("=", 1) for pair in pairs if pair)
    deps = pathlib.Path(env["CARGO_TARGET_DIR"], TARGET, "release/deps")
    for old in deps.glob("hardnet_kernels-*.s"):
        old.unlink()
    # Mangled by this scheme, names have the parameters of a tile.
    options = ["--emit", "asm", "-C", "debuginfo=0", "-C", "symbol-mangling-version=v0"]
    cargo = ["cargo", "rustc", "--release", "-p", "hardnet-kernels", "--target", TARGET, "--", *options]
    # Cargo does not notice that the file is gone.
    os.utime(ROOT / "crates/hardnet-kernels/src/lib.rs")
    subprocess.run(cargo, check=True, cwd=ROOT, env=env)
    (assembly,) = deps.glob("hardnet_kernels-*.s")
    return home, assembly.read_text()


def functions(assembly):
    """Names of the functions and their lines."""
    for match in re.finditer(r"^(_R\S+):\n(.*?)^\.Lfunc_end", assembly, re.M | re.S):
        yield match[1], match[2].split("\n")


def innermost_loop(lines, multiplication):
    """The loop without an inner one that has the most multiplications."""
    found, labels = [], {}
    for i, line in enumerate(lines):
        if label := re.match(r"(\.L\S+):", line):
            labels[label[1]] = i
        branch = re.match(r"\t(?:b|b\.\w+|cbn?z|tbn?z)\t(?:.*, )?(\.L\S+)", line)
        start = branch and labels.get(branch[1])
        if start is None or any(re.match(r"\.L", inner) for inner in lines[start + 1 : i]):
            continue
        loop = [line.split("//")[0] for line in lines[start + 1 : i + 1]]
        loop = [line for line in loop if re.match(r"\t\s*[a-z]", line)]
        found.append((sum(bool(re.match(rf"\t\s*{multiplication}\s", line)) for line in loop), loop))
    return max(found, key=lambda pair: pair[0], default=(0, []))


def cycles(home, processor, loop):
    """Predicted cycles of a turn."""
    command = [home / "mca", f"-mtriple={TARGET}", f"-mcpu={processor}", f"-iterations={ITERATIONS}"]
    run = subprocess.run(command, input="\n".join(loop), text=True, capture_output=True, check=True)
    return int(re.search(r"Total Cycles:\s+(\d+)", run.stdout)[1]) / ITERATIONS


def main():
    home, assembly = build()
    known = list(functions(assembly))
    print("| kernel | processor | instructions | stack accesses | cycles | bound | bound / cycles | products / cycle |")
    print("|---|---|---|---|---|---|---|---|")
    for kernel, pattern, multiplication, products, processors in KERNELS:
        count, loop = max(
            (innermost_loop(lines, multiplication) for name, lines in known if re.search(pattern, name)),
            key=lambda pair: pair[0],
        )
        assert count, f"no loop of {kernel}"
        stack = sum("[sp" in line for line in loop)
        alone = [line for line in loop if re.match(rf"\t\s*{multiplication}\s", line)]
        for processor, name in processors.items():
            needed, bound = cycles(home, processor, loop), cycles(home, processor, alone)
            print(
                f"| {kernel} | {name} | {len(loop)} | {stack} | {needed:.1f} | {bound:.1f} | {bound / needed:.2f} "
                f"| {count * products / needed:.1f} |"
            )


main()
