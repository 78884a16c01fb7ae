"""Runs the scripts of examples/cluster on a real Slurm of one node: arrays, training, node failure, requeue.

Usage: python3 tests/mpi/slurm.py PROGRAM

PROGRAM is `hardnet` with the feature `mpi`. Needs root and Debian's `munge`, `slurmctld`, `slurmd`, `slurm-client`,
`openmpi-bin` and `mpich`. The configuration, logs and states are in a temporary folder; what was started is ended.
The oracle of training is the run of one process, that of the array is the evaluation by one process.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run import Tests, make_images

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 8
TRAIN = (
    "--model hardnet39ds --data-dir train-images-idx3-ubyte --num-classes 3 --hold-out 12 --img-size 32 --crop-pct 1 "
    f"-b 16 --virtual-shards 4 --epochs {EPOCHS} --lr 0.01 --clip-norm 5"
)


class Slurm:
    """A cluster of one node, with four processors that it may not have."""

    def __init__(self, folder):
        self.folder, self.node, self.processes = folder, socket.gethostname().split(".")[0], []
        for name in ["state", "spool", "pmix"]:
            (folder / name).mkdir()
        (folder / "mpi.conf").write_text(f"PMIxCliTmpDirBase={folder}/pmix\n")
        (folder / "slurm.conf").write_text(
            f"ClusterName=test\nSlurmctldHost={self.node}\nSlurmUser=root\nSlurmdUser=root\nMailProg=/bin/true\n"
            f"StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\n"
            f"SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n"
            f"SlurmctldLogFile={folder}/slurmctld.log\nSlurmdLogFile={folder}/slurmd.log\n"
            "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\n"
            "SelectTypeParameters=CR_CPU\nSlurmdParameters=config_overrides\nReturnToService=2\nKillWait=5\n"
            # A job that is queued again waits until its old credentials are void.
            "AuthInfo=cred_expire=5\nSchedulerParameters=sched_interval=1\n"
            f"NodeName={self.node} CPUs=4 State=UNKNOWN\n"
            "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
        )
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")

    def __enter__(self):
        if subprocess.run(["munge", "-n"], capture_output=True).returncode:
            subprocess.run(["install", "-d", "-o", "munge", "-g", "munge", "/run/munge"], check=True)
            self.start(["runuser", "-u", "munge", "--", "/usr/sbin/munged", "--foreground"])
            self.wait("munge", lambda: subprocess.run(["munge", "-n"], capture_output=True).returncode == 0)
        self.start(["/usr/sbin/slurmctld", "-D"])
        self.start(["/usr/sbin/slurmd", "-D"])
        self.wait("an idle node", lambda: "idle" in self.output("sinfo", "-h", "-o", "%t"))
        return self

    def __exit__(self, *_):
        subprocess.run(["scancel", "--full", "-u", "root"], capture_output=True)
        for process in reversed(self.processes):
            process.terminate()
            process.wait(timeout=20)

    def start(self, words):
        self.processes.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def output(self, *words, cwd=None):
        done = subprocess.run(words, capture_output=True, text=True, cwd=cwd)
        return done.stdout + done.stderr

    def wait(self, what, ready, seconds=40):
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                queue = self.output("squeue", "-a") + self.output("sinfo", "-R")
                raise TimeoutError(f"no {what} after {seconds} s: {queue}")
            time.sleep(0.2)

    def state(self, job):
        """State and restarts of a job."""
        text = self.output("scontrol", "show", "job", job)
        found = re.search(r"JobState=(\S+)", text), re.search(r"Restarts=(\d+)", text)
        return found[0][1] if found[0] else text, int(found[1][1]) if found[1] else 0


def script(tests, name, changes):
    """A script of the examples with other values."""
    text = (ROOT / "examples/cluster" / name).read_text()
    for old, new in changes:
        if not re.search(old, text):
            raise ValueError(f"`{old}` is not in {name}")
        text = re.sub(old, new, text)
    path = tests.folder / name
    path.write_text(text)
    return path


def train(tests, slurm, mpi, ranks, interrupt):
    """Trains by the example's script, interrupts the job when an epoch is done, and compares the result."""
    name = f"training by {ranks} ranks, {mpi}, {interrupt.__name__.replace('_', ' ')}"
    output = re.sub("[^a-z0-9]+", "-", name)
    changes = [
        ("--nodes=4", "--nodes=1"), ("--ntasks-per-node=2", f"--ntasks-per-node={ranks}"),
        ("--cpus-per-task=8", "--cpus-per-task=1"), (r"\brun/", f"{output}/"), ("--resume run", f"--resume {output}"),
        ("-o run .*", f"-o {output} {TRAIN}"), ("--mpi=pmix", f"--mpi={mpi}"),
        ("--threads 8 -j 8 --checkpoint-every 200", "--threads 1 -j 1 --checkpoint-every 1"),
        ("=train.log", f"={output}.log"),
    ]  # fmt: skip
    path = script(tests, "train.slurm.sh", changes)
    job = slurm.output("sbatch", "--parsable", path.name, cwd=tests.folder).strip()
    log = tests.folder / f"{output}.log"
    try:
        slurm.wait("epoch", (tests.folder / output / "metrics.jsonl").exists)
        before = len(tests.metrics(output))
        interrupt(slurm, job)
        slurm.wait("end", lambda: slurm.state(job)[0] in ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL"), 60)
    except TimeoutError as error:
        text = log.read_text() if log.exists() else ""
        slurm.output("scancel", "--full", job)
        return tests.check(name, f"{error} {text}")
    state, restarts = slurm.state(job)
    problem = tests.differs("alone", output) if state == "COMPLETED" else f"{state}: {log.read_text()}"
    if restarts != 1 or before >= EPOCHS:
        problem = f"{state}, {restarts} restarts, {before} epochs before: {log.read_text()}"
    tests.check(f"{name}: {before} epochs before, {restarts} restart", problem)


def node_failure(slurm, _):
    """The node loses its power: all that Slurm started on it is gone at once. Later it comes back."""
    # None of them sees another one die, which Slurm would hear of.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                is_of_node = f"SLURM_CONF={slurm.folder}/" in (entry / "environ").read_text()
                # Debian's programs are `slurmd-wlm` and so on.
                program = os.path.basename(os.readlink(entry / "exe")).removesuffix("-wlm")
                if is_of_node and program in ("slurmd", "slurmstepd", "srun", "hardnet", "sh", "dash", "bash"):
                    os.kill(int(entry.name), number)
            except (OSError, ValueError):
                continue
    slurm.output("scontrol", "update", f"nodename={slurm.node}", "state=down", "reason=test")
    slurm.wait("node that is down", lambda: "down" in slurm.output("sinfo", "-h", "-o", "%t"))
    # Its temporary files are gone as well, and what Slurm's PMIx had in the folder of slurmd: with that, Slurm 22.05
    # does not start the ranks of the job again, and srun ends with 0.
    spool = slurm.folder / "spool"
    for left in [*(slurm.folder / "pmix").iterdir(), *Path("/tmp").glob("spmix_appdir_*"), *spool.glob("pmix.*")]:
        shutil.rmtree(left, ignore_errors=True)
    for left in spool.glob("stepd.slurm.pmix.*"):
        left.unlink()
    slurm.start(["/usr/sbin/slurmd", "-D"])
    slurm.output("scontrol", "update", f"nodename={slurm.node}", "state=resume")


def time_is_over(slurm, job):
    """What `--signal=TERM@120` does before the end."""
    slurm.output("scancel", "--signal=TERM", f"{job}.0")


def array(tests, slurm):
    """Evaluates by the example's array, one job of which is run again, and merges its files."""
    weights = "alone/last.safetensors"
    common = f"--weights {weights} --data-dir train-images-idx3-ubyte"
    command = f"eval {common} --threads 1 -j 1 --json --predictions whole.jsonl"
    code, whole = tests.run([tests.program, *command.split()])
    changes = [
        ("--array=0-15", "--array=0-3"), ("--cpus-per-task=8", "--cpus-per-task=1"),
        (r"--weights \S+ --data-dir \S+", common), ("--threads 8 -j 8", "--threads 1 -j 1"),
    ]  # fmt: skip
    script(tests, "eval.slurm.sh", changes)
    merge = script(tests, "merge.slurm.sh", [])
    text = slurm.output("sh", merge.name, cwd=tests.folder)
    slurm.wait("result", (tests.folder / "predictions.jsonl").exists)
    slurm.wait("end", lambda: not slurm.output("squeue", "-h"))
    same = (tests.folder / "predictions.jsonl").read_text() == (tests.folder / "whole.jsonl").read_text()
    figures = [json.loads(text[text.index("{") :]) for text in [whole, (tests.folder / "result.json").read_text()]]
    names = ["top1", "top5", "loss", "images"]
    differ = [name for name in names if figures[0].get(name) != figures[1].get(name)]
    problem = f"{code}: {whole} {text}" if code else None if same and not differ else f"{differ} differ, {same=}"
    tests.check("an array of 4 evaluations, merged", problem)


def main():
    program = os.path.realpath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        tests = Tests(program, Path(folder))
        os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
        (tests.folder / "bin").mkdir()
        (tests.folder / "bin/hardnet").symlink_to(program)
        (tests.folder / "slurm").mkdir()
        make_images(tests.folder)
        code, text = tests.run([program, "train", "-o", "alone", *TRAIN.split(), "--threads", "1", "-j", "1"])
        tests.check("one process", None if code == 0 else text)
        with Slurm(tests.folder / "slurm") as slurm:
            array(tests, slurm)
            train(tests, slurm, "pmix", 3, node_failure)
            train(tests, slurm, "pmix", 2, time_is_over)
            train(tests, slurm, "pmi2", 4, node_failure)
    print(f"{tests.passed} passed, {tests.failed} failed")
    sys.exit(tests.failed > 0)


if __name__ == "__main__":
    main()
