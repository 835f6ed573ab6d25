#!/usr/bin/python3
"""A link between two network namespaces that delays each packet and loses some, as netem of tc(8)
does, which not every kernel has. Two TAP devices, and this process between them until it is killed.

  slow_link.py PID NAME PID NAME MILLISECONDS LOSS

A device of that NAME in the network namespace of each PID; "ready" is said when both are there.
LOSS: the part of all packets, such as 0.01, always the same ones.
"""
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
LARGEST = 65536
MOST_QUEUED = 5000  # frames, as a router would have it
CLONE_NEWNET = 0x40000000


def tap(pid, name):
    """A device belongs to the namespace in which /dev/net/tun was opened."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net", "rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


def forward(ends, delay, loss):
    chance = random.Random(1)
    queue, number = [], 0  # (when, in which order, to which device, what)
    poll = select.poll()
    for end in ends:
        poll.register(end, select.POLLIN)
    while True:
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _, _, end, frame = heapq.heappop(queue)
            try:
                os.write(end, frame)
            except OSError:
                pass  # it is down
        left = (queue[0][0] - now) * 1000 if queue else None
        for end, _ in poll.poll(left):
            try:
                frame = os.read(end, LARGEST)
            except OSError:
                continue
            if chance.random() < loss or len(queue) >= MOST_QUEUED:
                continue
            other = ends[1] if end == ends[0] else ends[0]
            heapq.heappush(queue, (time.monotonic() + delay, number, other, frame))
            number += 1


def main():
    pids, names = sys.argv[1:5:2], sys.argv[2:5:2]
    ends = [tap(pid, name) for pid, name in zip(pids, names)]
    print("ready", flush=True)
    forward(ends, float(sys.argv[5]) / 1000, float(sys.argv[6]))


main()
