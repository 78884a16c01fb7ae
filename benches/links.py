"""Ranks of MPI in network namespaces of their own, joined by links of a chosen speed.

Needs root, `iproute2` and Open MPI. Each rank has a namespace with a host name and one link to a bridge; both ends of
the link send through a token bucket (tbf), so that a rank has as much to send as to receive at a time, as with a network
card. The kernel need not have netem: there is no added delay and no loss."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# What the receiver of a calibrating transfer does: it says how many seconds lie between the first byte and the last.
RECEIVE = """
import socket, sys, time
server = socket.create_server(("", 7100))
print("ready", flush=True)
link, _ = server.accept()
count = len(link.recv(1))
began = time.monotonic()
while data := link.recv(1 << 20):
    count += len(data)
print(count / (time.monotonic() - began))
"""
SEND = """
import socket, sys
link = socket.create_connection((sys.argv[1], 7100))
part = bytes(1 << 20)
for _ in range(int(sys.argv[2]) >> 20):
    link.sendall(part)
"""


def run(*command):
    subprocess.run([str(word) for word in command], check=True)


class Links:
    """A context with `ranks` namespaces. `megabits` is the speed of each link, none for one that is not shaped."""

    def __init__(self, ranks, megabits=None):
        self.ranks, self.megabits = ranks, megabits
        self.names = [f"ranks-{os.getpid()}-{rank}" for rank in range(ranks)]
        self.bridge = f"ranks-{os.getpid()}-bridge"
        self.addresses = [f"10.77.0.{rank + 1}" for rank in range(ranks)]

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        inside = ["ip", "-n", self.bridge, "link"]
        try:
            run("ip", "netns", "add", self.bridge)
            run(*inside, "add", "bridge", "type", "bridge")
            run(*inside, "set", "bridge", "up")
            for rank, (name, address) in enumerate(zip(self.names, self.addresses)):
                port = f"port{rank}"
                run("ip", "netns", "add", name)
                run("ip", "link", "add", "card", "netns", name, "type", "veth", "peer", "name", port, "netns", self.bridge)
                run(*inside, "set", port, "master", "bridge", "up")
                run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "card")
                run("ip", "-n", name, "link", "set", "card", "up")
                run("ip", "-n", name, "link", "set", "lo", "up")
                if self.megabits:
                    self.shape(name, "card")
                    self.shape(self.bridge, port)
        except BaseException:
            self.__exit__()
            raise
        agent = Path(self.folder.name) / "agent"
        agent.write_text(
            "#!/bin/sh\n# Starts a command in the namespace of an address, as ssh would on a machine.\n"
            'address=$1; shift; rank=$((${address##*.} - 1))\n'
            f'exec ip netns exec "ranks-{os.getpid()}-$rank" unshare -u sh -c "hostname rank$rank; $*"\n'
        )
        agent.chmod(0o755)
        self.agent = str(agent)
        return self

    def shape(self, namespace, device):
        # A burst is what may pass at once: two milliseconds, and more than the largest segment that the kernel sends.
        burst = max(70_000, int(self.megabits * 1e6 / 8 * 0.002))
        rate = ["rate", f"{self.megabits}mbit", "burst", burst, "latency", "20ms"]
        run("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", "tbf", *rate)

    def __exit__(self, *_):
        for name in [*self.names, self.bridge]:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
        self.folder.cleanup()

    def mpirun(self):
        """The words in front of a program that start it in all namespaces. Messages go over TCP."""
        hosts = ",".join(self.addresses)
        tcp = ["--mca", "pml", "ob1", "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "card"]
        out = ["--mca", "oob_tcp_if_include", "card", "--mca", "plm_rsh_agent", self.agent]
        start = ["ip", "netns", "exec", self.names[0], "unshare", "-u", "sh", "-c", 'hostname rank0; exec "$@"', "sh"]
        launcher = ["mpirun.openmpi", "--allow-run-as-root", "--bind-to", "none", "-H", hosts, *tcp, *out]
        return [*start, *launcher, "-n", str(self.ranks)]

    def measured(self, seconds=2.0):
        """Bytes a second of a plain transfer from rank 1 to rank 0."""
        size = int((self.megabits or 20_000) * 1e6 / 8 * seconds)
        inside = ["ip", "netns", "exec"]
        receiver = subprocess.Popen(
            [*inside, self.names[0], sys.executable, "-c", RECEIVE], stdout=subprocess.PIPE, text=True
        )
        receiver.stdout.readline()
        run(*inside, self.names[1], sys.executable, "-c", SEND, self.addresses[0], size)
        return float(receiver.communicate()[0])


if __name__ == "__main__":
    for speed in sys.argv[2:]:
        with Links(int(sys.argv[1]), int(speed) or None) as links:
            print(speed, "Mb/s:", f"{8e-6 * links.measured():.1f} Mb/s of a plain transfer", flush=True)
            subprocess.run([*links.mpirun(), "hostname"])
