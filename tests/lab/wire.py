# SPDX-License-Identifier: Apache-2.0
"""A link without Ethernet headers between two namespaces, which may lose, delay and reorder packets.

Each end is a tun device (Documentation/networking/tuntap.rst), and a thread of the test carries what
is sent from the one to the other.
"""

import ctypes
import fcntl
import heapq
import os
import select
import struct
import threading
import time
from pathlib import Path
from random import Random

from .netns import CLONE_NEWNET, Place

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
PACKET_MAX = 65536


def open_tun(net: Path, name: str) -> int:
    made: list[int] = []
    libc = ctypes.CDLL(None, use_errno=True)

    def make() -> None:
        with net.open() as file:
            assert libc.setns(file.fileno(), CLONE_NEWNET) == 0
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
        made.append(fd)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


class Wire:
    """`loss`: the part of packets; `delay_s`: each is late by up to that, so they overtake others."""

    def __init__(self, one: Place, other: Place, loss: float = 0, delay_s: float = 0) -> None:
        self.loss = loss
        self.delay_s = delay_s
        self.lost = self.carried = 0
        self.random = Random(7)
        self.ends = [open_tun(one.net, "wire0"), open_tun(other.net, "wire0")]
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []
        count = 0
        while not self.ending.is_set():
            limit = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.1
            for fd in select.select(self.ends, [], [], min(limit, 0.1))[0]:
                packet = os.read(fd, PACKET_MAX)
                to = self.ends[1 - self.ends.index(fd)]
                count += 1
                if self.random.random() < self.loss:
                    self.lost += 1
                else:
                    due = time.monotonic() + self.random.random() * self.delay_s
                    heapq.heappush(waiting, (due, count, to, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, to, packet = heapq.heappop(waiting)
                self.carried += 1
                try:
                    os.write(to, packet)
                except OSError:  # full, or not up: it is lost
                    self.lost += 1

    def close(self) -> None:
        self.ending.set()
        self.thread.join(10)
        for fd in self.ends:
            os.close(fd)
