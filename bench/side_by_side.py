#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an identity costs in bulk: two daemons at the same time, that differ in nothing else.

Where the machine's speed changes by more from one second to the next than what is to be seen, rounds
one after the other do not show it. Here both carry a stream from the container at the same time, so
that what disturbs the one disturbs the other, and are started in turns one before the other.
"""

import argparse
import contextlib
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers import quiet, write_daemon_config
from topology import BUILD, Failed, Lab, cpu_seconds, end, start
from lab.netns import HOST_IP6

PORTS = (8080, 8081)
LIMIT_S = 60


def start_daemon(lab: Lab, port: int, identity: str) -> subprocess.Popen:
    folder = lab.folder / str(port)
    folder.mkdir(exist_ok=True)
    rule = {"host": f"[::]:{port}", "identity": identity}
    config = write_daemon_config(folder, rule, status_listen="off")
    process = quiet(lab, [str(BUILD / "fairleadd"), "--config", str(config)])
    lab.wait_until_bound(process, "tcp", port)
    return process


def start_client(lab: Lab, port: int, seconds: float) -> subprocess.Popen:
    words = lab.client_words(
        "stream", HOST_IP6, port=port, reverse=1, seconds=seconds, warmup=0.3
    )
    return start(lab.client, words, stdout=subprocess.PIPE)


def measure(lab: Lab, identities: list[str], seconds: float) -> dict[str, tuple[float, float]]:
    """Bytes, and seconds of processor time for each, by identity."""
    found = {}
    with contextlib.ExitStack() as stack:
        daemons, clients = [], []
        for port, identity in zip(PORTS, identities):
            daemons.append(start_daemon(lab, port, identity))
            stack.callback(end, daemons[-1])
        for port in PORTS:
            clients.append(start_client(lab, port, seconds))
            stack.callback(end, clients[-1])
        for identity, daemon, client in zip(identities, daemons, clients):
            carried = json.loads(client.communicate(timeout=seconds + LIMIT_S)[0])["total"]
            if carried <= 0:
                raise Failed("nothing came through")
            found[identity] = (carried, cpu_seconds(daemon.pid) / carried)
    return found


def show(name: str, ratios: list[float]) -> None:
    """The median, and between what it is with 95 % (order statistics)."""
    ratios = sorted(ratios)
    away = 0.98 * math.sqrt(len(ratios))
    least = ratios[max(0, math.floor(len(ratios) / 2 - away))]
    most = ratios[min(len(ratios) - 1, math.ceil(len(ratios) / 2 + away) - 1)]
    print(f"{name:24} {statistics.median(ratios):.3f} ({least:.3f} to {most:.3f})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("identity", nargs="?", default="pseudo-ipv4", help="default pseudo-ipv4")
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="default 40")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each; default 2")
    options = parser.parse_args()
    both = ["none", options.identity]
    carried, taken = [], []
    with Lab(1) as lab:
        for number in range(options.rounds):
            found = measure(lab, both[:: 1 if number % 2 else -1], options.seconds)
            (own_bytes, own_cpu), (none_bytes, none_cpu) = found[both[1]], found["none"]
            carried.append(own_bytes / none_bytes)
            taken.append(own_cpu / none_cpu)
    print(f"{both[1]}, of none; {options.rounds} rounds of {options.seconds:g} s, side by side\n")
    show("bulk, bytes", carried)
    show("bulk, processor time", taken)
    return 0


if __name__ == "__main__":
    sys.exit(main())
