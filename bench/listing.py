#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs to look at a daemon that has 9,000 sessions open: the time that `fairlead sessions
--json` takes, and how long a session that is at work is kept waiting meanwhile.

The latter is the slowest of many round trips over one connection. It is measured in turns while
nobody looks, while the sessions are listed again and again, and while a program that has nothing to
do with the daemon computes for as long: where processors are few, that alone delays round trips.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers import PEERS
from topology import BUILD, Failed, Lab

SECONDS = 3.0
LIMIT_S = 60
LISTED = "they are listed"


def list_sessions(lab: Lab, expected: int) -> float:
    """How long it took."""
    words = [str(BUILD / "fairlead"), "sessions", "--json", "--socket", f"{lab.folder}/api.sock"]
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    taken = time.monotonic() - began
    if done.returncode != 0:
        raise Failed(done.stderr.strip())
    found = done.stdout.count('"age_s"')  # to parse it would compute as long as all else
    if found < expected:
        raise Failed(f"{found} sessions were listed, and {expected} are open")
    return taken


def compute(lab: Lab, expected: int) -> float:
    """What a listing takes of a processor, without any."""
    words = ["timeout", "0.4", "sh", "-c", "while :; do :; done"]
    subprocess.run(words, timeout=LIMIT_S, check=False)
    return 0.4


class Watcher(threading.Thread):
    """Does one thing again and again until it is to end."""

    def __init__(self, lab: Lab, expected: int, do: Callable[[Lab, int], float]) -> None:
        super().__init__()
        self.lab, self.expected, self.do = lab, expected, do
        self.ending = threading.Event()
        self.taken: list[float] = []
        self.error: Failed | None = None

    def run(self) -> None:
        try:
            while not self.ending.wait(0.1):
                self.taken.append(self.do(self.lab, self.expected))
        except Failed as error:
            self.error = error


@contextlib.contextmanager
def watching(watcher: Watcher | None):
    if not watcher:
        yield
        return
    watcher.start()
    try:
        yield
    finally:
        watcher.ending.set()
        watcher.join()
    if watcher.error:
        raise watcher.error


def measure(lab: Lab, address: str, watcher: Watcher | None) -> dict[str, float]:
    with watching(watcher):
        return lab.run_client("echo", address, seconds=SECONDS, warmup=0.2, connections=1, size=64)


def show(name: str, values: list[float], unit: str, digits: int) -> None:
    shown = [f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values))]
    print(f"{name:46} {shown[0]} ({shown[1]} to {shown[2]}) {unit}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument("--sessions", type=int, default=9000, metavar="N", help="default 9000")
    options = parser.parse_args()
    daemon = next(peer for peer in PEERS if peer.name == "fairleadd")
    taken: list[float] = []
    slowest: dict[str, list[float]] = {"nobody looks": [], LISTED: [], "another program computes": []}
    with Lab(1) as lab, daemon.running(lab, "tcp") as running:
        with lab.held_client("hold", running.address, connections=options.sessions):
            for _ in range(options.rounds):
                for name, do in zip(slowest, (None, list_sessions, compute)):
                    watcher = Watcher(lab, options.sessions, do) if do else None
                    slowest[name].append(measure(lab, running.address, watcher)["max_us"] / 1e3)
                    taken += watcher.taken if watcher and do is list_sessions else []
    print(f"{options.sessions} sessions, {options.rounds} rounds, {len(taken)} listings\n")
    show("fairlead sessions --json", taken, "s", 3)
    for name, values in slowest.items():
        show(f"slowest round trip, {name}", values, "ms", 2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
