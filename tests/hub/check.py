"""`hardnet download` and the real huggingface_hub on one cache, from a Hub on the loopback interface.

    pip install huggingface_hub
    python check.py                # checks everything
    python check.py --record       # and writes what was seen, with versions, to check.json

Both programs download from `serve-hub`, find each other's files without the network, wait for each other's locks, and
fetch one file at once, in pairs of every kind, again and again. Then `hardnet` is killed in the middle of a file, and runs
out of disk. Needs `unshare` and the right to mount a tmpfs for the last; no network.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = "someone/net"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LENGTH = 32 << 20
NAME = "model.safetensors"


def build(*arguments):
    """The program that cargo builds."""
    command = ["cargo", *arguments, "--message-format=json"]
    lines = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [line["executable"] for line in map(json.loads, lines) if line.get("executable")][-1]


class Hub:
    """A running `serve-hub`."""

    def __init__(self, program, files):
        arguments = [f"{REPOSITORY}/{name}={path}" for name, path in files.items()]
        self.process = subprocess.Popen([program, *arguments], stdin=-1, stdout=-1, text=True)
        self.endpoint = self.process.stdout.readline().strip()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def requests(self):
        self.tell("requests")
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Site:
    """A cache and both programs on it."""

    def __init__(self, hardnet, hub, home):
        self.hardnet, self.hub, self.home = hardnet, hub, Path(home)
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            "HOME": str(home),
            "HF_HOME": str(home),
            "HARDNET_CACHE": str(self.home / "hardnet"),
            "HF_ENDPOINT": hub.endpoint,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def start_hardnet(self, address, *flags):
        command = [self.hardnet, "download", *flags, address]
        return subprocess.Popen(command, env=self.environment, stdout=-1, stderr=-1, text=True)

    def start_python(self, **arguments):
        """A process that has imported huggingface_hub and waits for a line to call it."""
        command = [sys.executable, __file__, "--worker", json.dumps(arguments)]
        process = subprocess.Popen(command, env=self.environment, stdin=-1, stdout=-1, stderr=-1, text=True)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        return process

    def repository(self):
        return self.home / "hub" / ("models--" + REPOSITORY.replace("/", "--"))

    def blobs(self):
        return sorted(path.name for path in (self.repository() / "blobs").iterdir())


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def path_of(process):
    """What a process printed, which must have ended well."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (process.args, out, err)
    return Path(out.strip()), err


def worker(arguments):
    """Calls hf_hub_download when told to."""
    from huggingface_hub import hf_hub_download

    print("ready", flush=True)
    sys.stdin.readline()
    print(hf_hub_download(REPOSITORY, **arguments))


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def python(site, **arguments):
    process = site.start_python(**arguments)
    go(process)
    return path_of(process)[0]


def downloads_from_the_server(site, files):
    """The server is honest: the real library takes large and small files, by branch and by commit."""
    for name, path in files.items():
        for revision in ("main", COMMIT):
            shutil.rmtree(site.home / "hub", ignore_errors=True)
            assert sha256(python(site, filename=name, revision=revision)) == sha256(path), name


def finds_what_the_other_fetched(site, files):
    for name, path in files.items():
        for revision in ("main", COMMIT):
            address = f"hf://{REPOSITORY}@{revision}/{name}"
            shutil.rmtree(site.home / "hub")
            ours, _ = path_of(site.start_hardnet(address))
            asked = site.hub.requests()
            assert sha256(ours) == sha256(path), name
            assert python(site, filename=name, revision=revision, local_files_only=True) == ours
            shutil.rmtree(site.home / "hub")
            theirs = python(site, filename=name, revision=revision)
            assert theirs == ours
            asked = site.hub.requests()
            assert path_of(site.start_hardnet(address, "--offline"))[0] == theirs
            assert path_of(site.start_hardnet(address))[0] == theirs
            assert site.hub.requests() == asked, "what is cached is asked of nobody"


def sees_a_sound_cache(site):
    """The library's own scan finds the repository and nothing to warn of, whoever filled it."""
    code = "from huggingface_hub import scan_cache_dir as s; c = s(); print(len(c.repos), len(c.warnings))"
    for _ in ("filled by the library", "filled by hardnet"):
        out = subprocess.run([sys.executable, "-c", code], env=site.environment, stdout=-1, text=True, check=True).stdout
        assert out.split() == ["1", "0"], out
        shutil.rmtree(site.home / "hub")
        path_of(site.start_hardnet(f"hf://{REPOSITORY}"))


def waits_for_the_lock_of_the_other(site):
    """Each program waits while the other holds the lock of a file that it wants."""
    from huggingface_hub.utils import WeakFileLock

    content = sha256(site.content)
    lock = site.home / "hub" / ".locks" / site.repository().name / f"{content}.lock"
    shutil.rmtree(site.home / "hub")
    lock.parent.mkdir(parents=True)
    with WeakFileLock(lock):
        process = site.start_hardnet(f"hf://{REPOSITORY}")
        while "waiting for another process" not in (line := process.stderr.readline()):
            assert line, "hardnet ended without waiting"
        time.sleep(0.5)
        assert process.poll() is None and not site.blobs()
    assert sha256(path_of(process)[0]) == content

    shutil.rmtree(site.home / "hub")
    site.hub.tell("stall 1000000")
    process = site.start_hardnet(f"hf://{REPOSITORY}")
    until(lambda: part_length(site) == 1000000)
    other = site.start_python(filename=NAME)
    go(other)
    time.sleep(1)
    assert other.poll() is None and site.blobs() == [f"{content}.hardnet.part"]
    ours, theirs = path_of(process)[0], path_of(other)[0]
    assert ours == theirs and sha256(ours) == content and site.blobs() == [content]


def fetch_at_once(site, kinds):
    """Processes of these kinds fetch one file into an empty cache; how often one waited, and downloads of the file."""
    shutil.rmtree(site.home / "hub", ignore_errors=True)
    before = len(site.hub.requests()["large"])
    workers = [site.start_python(filename=NAME) for kind in kinds if kind == "python"]
    for process in workers:
        go(process)
    # Python takes a while to ask; so that each kind may be the first.
    if "python" in kinds:
        time.sleep(random.uniform(0, 0.3))
    workers += [site.start_hardnet(f"hf://{REPOSITORY}") for kind in kinds if kind == "hardnet"]
    ended = [path_of(process) for process in workers]
    content = sha256(site.content)
    assert {path for path, _ in ended} == {site.repository() / "snapshots" / COMMIT / NAME}
    assert sha256(ended[0][0]) == content and site.blobs() == [content], site.blobs()
    assert (site.repository() / "refs/main").read_text() == COMMIT
    waited = sum("waiting for another process" in err for _, err in ended)
    return waited, len(site.hub.requests()["large"]) - before


def goes_on_after_a_kill(site):
    """Killed in the middle of a file, `hardnet` leaves a part only, and brings the rest when it is run again."""
    for signaled in (1, 20_000_000):
        shutil.rmtree(site.home / "hub")
        site.hub.tell(f"stall {signaled}")
        process = site.start_hardnet(f"hf://{REPOSITORY}")
        until(lambda: part_length(site) == signaled)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (site.repository() / "snapshots").exists()
        assert [name.endswith(".part") for name in site.blobs()] == [True]
        path, _ = path_of(site.start_hardnet(f"hf://{REPOSITORY}"))
        assert sha256(path) == sha256(site.content)
        assert site.hub.requests()["large"][-1] == f"bytes={signaled}-"
        assert site.blobs() == [sha256(site.content)]


def survives_a_full_disk(site, tests):
    """On a disk that is too small, the error says which folder and what to do, and nothing looks finished."""
    with tempfile.TemporaryDirectory() as small:
        command = f"mount -t tmpfs -o size=8m none {small}; export HF_HOME={small}; "
        command += f"{site.hardnet} download hf://{REPOSITORY}; echo code $?; find {small} -type f -o -type l"
        done = subprocess.run(small_disk(command), env=site.environment, stdout=-1, stderr=-1, text=True, check=True)
        lines = done.stdout.splitlines()
        assert lines[0] == "code 2" and all(line.endswith(".lock") for line in lines[1:]), lines
        for part in (small, "No space left", "free some space", "HF_HOME"):
            assert part in done.stderr, done.stderr
        # Tags of the registry, while the file arrives and while it is converted.
        for size in ("10m", "20m"):
            command = f"mount -t tmpfs -o size={size} none {small} && TMPDIR={small} {tests} --ignored full_disk"
            out = subprocess.run(small_disk(command), stdout=-1, text=True, check=True).stdout
            assert "1 passed" in out, out


def small_disk(command):
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command]


def part_length(site):
    parts = list(site.repository().glob("blobs/*.part"))
    return parts[0].stat().st_size if parts else None


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=25, help="how often each set of processes fetches at once")
    parser.add_argument("--record", action="store_true", help="write check.json")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(json.loads(args.worker))

    hardnet = build("build", "-p", "hardnet-cli", "--bin", "hardnet")
    serve = build("build", "-p", "hardnet-tests", "--bin", "serve-hub")
    tests = build("test", "-p", "hardnet-weights", "--features", "hub", "--lib", "--no-run")
    about = subprocess.run([hardnet, "--version"], stdout=-1, text=True, check=True).stdout.split("\n")[0]
    seen = {
        "versions": {
            "hardnet": about,
            "huggingface_hub": version("huggingface_hub"),
            "filelock": version("filelock"),
            "python": platform.python_version(),
            "system": re.sub(r"-.*", "", f"{platform.system()} {platform.release()}"),
        },
        "rounds": args.rounds,
        "at_once": {},
    }
    print(json.dumps(seen["versions"], indent=1), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        files = {NAME: folder / "large", "sub/config.json": folder / "small"}
        files[NAME].write_bytes(os.urandom(LENGTH))
        files["sub/config.json"].write_text('{"architecture": "none"}\n')
        hub = Hub(serve, files)
        site = Site(hardnet, hub, folder / "home")
        site.content = files[NAME]

        def step(check, *arguments):
            started = time.monotonic()
            check(site, *arguments)
            print(f"ok  {check.__name__}  {time.monotonic() - started:.1f} s", flush=True)

        step(downloads_from_the_server, files)
        step(finds_what_the_other_fetched, files)
        step(sees_a_sound_cache)
        step(waits_for_the_lock_of_the_other)
        for kinds in (["hardnet"] * 2, ["hardnet", "python"], ["hardnet"] * 2 + ["python"] * 2, ["hardnet"] * 6):
            rounds = [fetch_at_once(site, kinds) for _ in range(args.rounds)]
            name = " + ".join(kinds)
            waited, downloads = sum(waited for waited, _ in rounds), sum(downloads for _, downloads in rounds)
            seen["at_once"][name] = {"downloads": downloads, "hardnet_waited": waited}
            print(f"ok  {args.rounds} times at once: {name}: {downloads} downloads, hardnet waited {waited} times", flush=True)
            # Whoever waits finds the file of the other; Python by its etag, so that nothing is fetched twice.
            assert downloads == args.rounds
        step(goes_on_after_a_kill)
        step(survives_a_full_disk, tests)
        hub.stop()
    if args.record:
        (HERE / "check.json").write_text(json.dumps(seen, indent=2) + "\n")


if __name__ == "__main__":
    main()
