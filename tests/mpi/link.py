"""Two hosts on one machine, and a link between them that delays and loses packets. Needs root and `iproute2`.

    python3 tests/mpi/link.py NAME DELAY_MS LOSS_PERCENT

makes the network namespaces NAME0 and NAME1 with the addresses 10.99.0.1 and 10.99.0.2, prints `ready`, and forwards
packets until its standard input ends. Each way has the delay; lost packets are drawn at random. At the end it prints
how many packets it has forwarded and lost. Kernels without `netem` can do this too.
"""

import collections
import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
CLONE_NEWNET = 0x40000000


def tunnel(name, address, peer):
    """A namespace, and the file that has the packets which it sends."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{name}", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(other, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
    libc.setns(own, CLONE_NEWNET)
    inside = ["ip", "netns", "exec", name, "ip"]
    for words in (
        ["link", "set", "lo", "up"],
        ["address", "add", address, "peer", peer, "dev", "tun0"],
        ["link", "set", "tun0", "up", "mtu", "9000", "txqueuelen", "10000"],
    ):
        subprocess.run(inside + words, check=True)
    return file


def forward(files, delay, loss):
    """Forwards between two tunnels until standard input ends; returns the packets forwarded and lost."""
    waiting, poll = collections.deque(), select.poll()
    for file in (*files, 0):
        poll.register(file, select.POLLIN)
    forwarded = lost = 0
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 1.0
        ready = {file for file, _ in poll.poll(pause * 1000)}
        if 0 in ready and not os.read(0, 1):
            return forwarded, lost
        for file, other in (files, files[::-1]):
            # A packet that comes while another is read belongs to a later turn, so that delays end in time.
            for _ in range(64 if file in ready else 0):
                try:
                    packet = os.read(file, 1 << 16)
                except BlockingIOError:
                    break
                if random.random() < loss:
                    lost += 1
                else:
                    waiting.append((time.monotonic() + delay, other, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, file, packet = waiting.popleft()
            try:
                os.write(file, packet)
                forwarded += 1
            except BlockingIOError:
                lost += 1


def main():
    name, delay, loss = sys.argv[1], float(sys.argv[2]) / 1e3, float(sys.argv[3]) / 100
    random.seed(1)
    try:
        addresses = ["10.99.0.1", "10.99.0.2"]
        files = [tunnel(name + "0", *addresses), tunnel(name + "1", *addresses[::-1])]
        print("ready", flush=True)
        forwarded, lost = forward(files, delay, loss)
        print(f"{forwarded} packets forwarded, {lost} lost")
    finally:
        for number in "01":
            if os.path.exists(f"/run/netns/{name}{number}"):
                subprocess.run(["ip", "netns", "del", name + number], check=True)


if __name__ == "__main__":
    main()
