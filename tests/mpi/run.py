"""Trains with several ranks over real libraries of MPI: equality, lost ranks, resumed runs.

Usage: python3 tests/mpi/run.py PROGRAM [short]

PROGRAM is `hardnet` with the feature `mpi`. Needs Debian's `openmpi-bin` and `mpich`. The oracle is the run of one
process with as many virtual shards: weights must be the same, byte for byte. `short` is a part of the tests.
All of them need root, `iproute2`, network namespaces and /dev/net/tun too.
"""

import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAUNCHERS = {
    "Open MPI": ["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n"],
    "MPICH": ["mpiexec.mpich", "-n"],
}
EPOCHS = 5
TIMEOUT = 4


class Tests:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.failed = self.passed = 0

    def check(self, name, problem):
        """Counts a test, which has a problem or not."""
        self.passed += not problem
        self.failed += bool(problem)
        print(f"{name}: {problem or 'ok'}", flush=True)

    def command(self, output, resume=False, options=()):
        common = [self.program, "train", "-j", "1", "--threads", "1", "--rank-timeout", str(TIMEOUT)]
        if resume:
            return common + ["--resume", output]
        return common + [
            "-o", output, "--model", "hardnet39ds", "--data-dir", "train-images-idx3-ubyte", "--num-classes", "3",
            "--hold-out", "12", "--img-size", "32", "--crop-pct", "1", "-b", "16", "--virtual-shards", "8",
            "--lr", "0.01", "--clip-norm", "5", "--ema", "0.9", *(options or ["--epochs", str(EPOCHS)]),
        ]  # fmt: skip

    def start(self, launcher, ranks, output, resume=False, options=()):
        words = LAUNCHERS[launcher] + [str(ranks)] if launcher else []
        return self.popen(words + self.command(output, resume, options))

    def popen(self, words):
        return subprocess.Popen(
            words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    def run(self, words):
        return self.finish(self.popen(words))

    def finish(self, process, seconds=120):
        """Exit code and output of a run that must end."""
        try:
            output, _ = process.communicate(timeout=seconds)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]

    def alone(self, output, options=()):
        """The run of one process."""
        code, text = self.finish(self.start(None, 1, output, options=options))
        self.check(f"one process{name_of(options)}", None if code == 0 else text)

    def differs(self, one, other):
        for name in ["last.safetensors", "best.safetensors"]:
            files = [self.folder / run / name for run in (one, other)]
            missing = [str(file) for file in files if not file.exists()]
            if missing:
                return f"no {missing[0]}"
            if files[0].read_bytes() != files[1].read_bytes():
                return f"{name} differs from that of one process"
        if self.metrics(one) != self.metrics(other):
            return "metrics differ from those of one process"

    def metrics(self, run):
        lines = [json.loads(line) for line in (self.folder / run / "metrics.jsonl").read_text().splitlines()]
        times = ("seconds", "images_per_second")
        return [{name: value for name, value in line.items() if name not in times} for line in lines]

    def ranks_of(self, marker):
        """Process ids of the ranks that were started with a marker in their environment."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdigit() or os.readlink(entry / "exe") != self.program:
                    continue
                variables = dict(
                    pair.split("=", 1) for pair in (entry / "environ").read_text().split("\0") if "=" in pair
                )
            except (OSError, ValueError):
                continue
            rank = variables.get("OMPI_COMM_WORLD_RANK", variables.get("PMI_RANK"))
            if rank is not None and variables.get("HARDNET_MPI_TEST") == marker:
                found[int(rank)] = int(entry.name)
        return found

    def equality(self, launcher, ranks, alone="alone", options=()):
        name = f"{launcher}, {ranks} ranks{name_of(options)}"
        output = f"equal-{alone}-{launcher[0]}-{ranks}"
        code, text = self.finish(self.start(launcher, ranks, output, options=options))
        self.check(name, self.differs(alone, output) if code == 0 else f"exit code {code}: {text}")

    def synchronized(self, sizes):
        """Equality where ranks exchange statistics within the passes."""
        options = ["--batch-norm", "synchronized", "--epochs", "2"]
        self.alone("synchronized", options)
        for launcher in LAUNCHERS:
            for size in sizes[launcher]:
                self.equality(launcher, size, "synchronized", options)

    def lost(self, launcher, rank, number, resumed_on, expected=None):
        """Sends a signal to a rank after an epoch, expects that all end, and resumes with another number of ranks."""
        verb = {signal.SIGKILL: "killed", signal.SIGSTOP: "stopped", signal.SIGTERM: "asked to stop"}[number]
        name = f"{launcher}, rank {rank} of 4 {verb}"
        output = re.sub("[^a-z0-9]+", "-", name.lower())
        os.environ["HARDNET_MPI_TEST"] = marker = f"{output}-{os.getpid()}"
        process = self.start(launcher, 4, output)
        self.wait_for_epoch(output)
        ranks = self.ranks_of(marker)
        if len(ranks) != 4:
            self.finish(process, 1)
            return self.check(name, f"found {len(ranks)} ranks: {ranks}")
        os.kill(ranks[rank], number)
        started = time.monotonic()
        code, text = self.finish(process, TIMEOUT + 30)
        seconds = time.monotonic() - started
        while self.ranks_of(marker) and time.monotonic() < started + TIMEOUT + 40:
            time.sleep(0.1)
        if left := self.ranks_of(marker):
            return self.check(name, f"ranks {sorted(left)} still run: {text}")
        if code in (None, 0) or (number == signal.SIGTERM and code != 130):
            return self.check(name, f"exit code {code}: {text}")
        if expected and not re.search(expected, text):
            return self.check(name, f"`{expected}` is not in: {text}")
        before = len(self.metrics(output))
        if before == EPOCHS:
            return self.check(name, "the run was over before the signal")
        code, text = self.finish(self.start(launcher, resumed_on, output, resume=True))
        problem = self.differs("alone", output) if code == 0 else f"exit code {code}: {text}"
        self.check(f"{name}: all ended after {seconds:.1f} s, {before} epochs kept, resumed on {resumed_on}", problem)

    def refused(self, launcher):
        code, text = self.finish(self.start(launcher, 9, "refused"))
        expected = "error: 9 ranks share 8 virtual shards, expected one or more for each"
        problem = None if code == 2 and expected in text else f"{code}: {text}"
        if (self.folder / "refused").exists():
            problem = "there is a folder"
        self.check(f"{launcher}, 9 ranks for 8 virtual shards", problem)


    def another_rank(self, launcher):
        """Rank 1 computes with other instructions than rank 0."""
        script = 'if [ "$PMI_RANK$OMPI_COMM_WORLD_RANK" = 1 ]; then export HARDNET_ISA=portable; fi; exec "$@"'
        words = LAUNCHERS[launcher] + ["2", "sh", "-c", script, "sh"]
        folder = "other-" + launcher.replace(" ", "-")
        code, text = self.run(words + self.command(folder))
        expected = "error: rank 1 failed: this rank and rank 0 have different instruction sets"
        self.check(f"{launcher}, another rank", None if code == 2 and expected in text else f"{code}: {text}")

    def other_library(self):
        """The launcher is Open MPI's, and the library is not."""
        code, text = self.run(LAUNCHERS["Open MPI"] + ["2"] + self.command("library") + ["--mpi", "mpich"])
        expected = "MPI has 1 rank, and open-mpi started 2"
        self.check("Open MPI with the library of MPICH", None if code and expected in text else f"{code}: {text}")


    def network(self):
        """Ranks over TCP in a network of their own: a slow link gives the same run, a dead one ends it."""
        name = f"hardnet-{os.getpid()}"
        inside = ["ip", "netns", "exec", name]
        tcp = ["--mca", "pml", "ob1", "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "lo"]
        launcher = inside + LAUNCHERS["Open MPI"][:-1] + tcp + ["-n", "3"]
        subprocess.run(["ip", "netns", "add", name], check=True)
        try:
            subprocess.run(inside + ["ip", "link", "set", "lo", "up"], check=True)
            shape = "tc qdisc add dev lo root tbf rate 200mbit burst 1mb latency 200ms"
            subprocess.run(inside + shape.split(), check=True)
            code, text = self.run(launcher + self.command("slow"))
            problem = self.differs("alone", "slow") if code == 0 else f"exit code {code}: {text}"
            self.check("Open MPI over TCP at 200 Mb/s, 3 ranks", problem)
            process = self.popen(launcher + self.command("cut"))
            self.wait_for_epoch("cut")
            started = time.monotonic()
            subprocess.run(inside + ["ip", "link", "set", "lo", "down"], check=True)
            code, text = self.finish(process, TIMEOUT + 30)
            seconds = time.monotonic() - started
        finally:
            subprocess.run(["ip", "netns", "del", name], check=True)
        if code != 2 or f"has been silent for {TIMEOUT} s" not in text:
            return self.check("Open MPI over TCP, no network", f"exit code {code}: {text}")
        code, text = self.finish(self.start("MPICH", 2, "cut", resume=True))
        problem = self.differs("alone", "cut") if code == 0 else f"exit code {code}: {text}"
        self.check(f"Open MPI over TCP, no network: all ended after {seconds:.1f} s, resumed by MPICH", problem)

    def hosts(self):
        """Ranks on two hosts, as network namespaces, whose link takes 5 ms and loses one packet of 200."""
        name = f"hardnet-{os.getpid()}-"
        link = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "link.py", name, "5", "0.5"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self.check("a link that delays and loses packets", None if link.stdout.readline() == "ready\n" else "none")
            # In place of ssh: starts Open MPI's program of the second host there.
            agent = self.folder / "agent"
            agent.write_text(f'#!/bin/sh\nshift\nexec ip netns exec {name}1 sh -c "$*"\n')
            agent.chmod(0o755)
            launcher = ["ip", "netns", "exec", f"{name}0", *LAUNCHERS["Open MPI"][:-1]]
            for key, value in {
                "plm_rsh_agent": agent, "pml": "ob1", "btl": "self,tcp", "btl_tcp_if_include": "10.99.0.0/24",
                "oob_tcp_if_include": "10.99.0.0/24",
            }.items():  # fmt: skip
                launcher += ["--mca", key, str(value)]
            started = time.monotonic()
            code, text = self.run(launcher + ["-H", "10.99.0.1:2,10.99.0.2:2", "-n", "4"] + self.command("hosts"))
            seconds = time.monotonic() - started
        finally:
            counts, _ = link.communicate()
        problem = self.differs("alone", "hosts") if code == 0 else f"exit code {code}: {text}"
        self.check(f"Open MPI, 4 ranks on two hosts, {seconds:.0f} s, {counts.strip()}", problem)

    def wait_for_epoch(self, output):
        deadline = time.monotonic() + 60
        while not (self.folder / output / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)


def name_of(options):
    return f" ({' '.join(options)})" if options else ""


def make_images(folder):
    count, side = 60, 32
    random.seed(1)
    pixels = bytes(random.randrange(256) for _ in range(count * side * side))
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, side, side) + pixels)
    labels = bytes(number % 3 for number in range(count))
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels)


def main():
    program, is_short = os.path.realpath(sys.argv[1]), sys.argv[2:] == ["short"]
    missing = [words[0] for words in LAUNCHERS.values() if not shutil.which(words[0])]
    if missing:
        sys.exit(f"{missing[0]} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        tests = Tests(program, Path(folder))
        make_images(tests.folder)
        tests.alone("alone")
        every = [1, 2, 3, 4, 8]
        sizes = {"Open MPI": [2, 4], "MPICH": [3, 8]} if is_short else {"Open MPI": every, "MPICH": every}
        for launcher in LAUNCHERS:
            for size in sizes[launcher]:
                tests.equality(launcher, size)
        tests.synchronized({"Open MPI": [4], "MPICH": [3]} if is_short else sizes)
        silent = "rank {} has been silent for " + str(TIMEOUT) + " s"
        kill, stop, term = signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM
        tests.lost("Open MPI", 2, kill, 3, expected="process rank 2 .* exited on signal 9")
        tests.lost("Open MPI", 2, stop, 1, expected=silent.format(2))
        tests.lost("MPICH", 0, stop, 2, expected=silent.format(0))
        tests.lost("MPICH", 2, kill, 8, expected="Killed")
        tests.another_rank("Open MPI")
        if not is_short:
            tests.another_rank("MPICH")
            tests.other_library()
            tests.lost("MPICH", 0, kill, 2)
            tests.lost("MPICH", 1, stop, 4, expected=silent.format(1))
            tests.lost("Open MPI", 0, kill, 8)
            tests.lost("Open MPI", 0, stop, 2, expected=silent.format(0))
            tests.lost("Open MPI", 0, term, 2)
            tests.lost("MPICH", 3, term, 4)
            tests.network()
            tests.hosts()
            tests.refused("Open MPI")
            tests.refused("MPICH")
    print(f"{tests.passed} passed, {tests.failed} failed")
    sys.exit(tests.failed > 0)


if __name__ == "__main__":
    main()
