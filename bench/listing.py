#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs to look at a daemon that has 9,000 sessions open: the time that `fairlead sessions
--json` takes, and how long a session that is at work is kept waiting meanwhile.

The latter is the slowest of many round trips over one connection. It is measured with and without a
listing, in turns, since other jobs of the machine delay round trips, too.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers import PEERS
from topology import BUILD, Failed, Lab

SECONDS = 3.0
LIMIT_S = 60


def list_sessions(lab: Lab, expected: int) -> float:
    """How long it took."""
    words = [str(BUILD / "fairlead"), "sessions", "--json", "--socket", f"{lab.folder}/api.sock"]
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    taken = time.monotonic() - began
    if done.returncode != 0:
        raise Failed(done.stderr.strip())
    found = len(json.loads(done.stdout))
    if found < expected:
        raise Failed(f"{found} sessions were listed, and {expected} are open")
    return taken


class Watcher(threading.Thread):
    """Lists the sessions again and again until it is to end."""

    def __init__(self, lab: Lab, expected: int) -> None:
        super().__init__()
        self.lab, self.expected = lab, expected
        self.ending = threading.Event()
        self.taken: list[float] = []
        self.error: Failed | None = None

    def run(self) -> None:
        try:
            while not self.ending.wait(0.1):
                self.taken.append(list_sessions(self.lab, self.expected))
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
    print(f"{name:44} {shown[0]} ({shown[1]} to {shown[2]}) {unit}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument("--sessions", type=int, default=9000, metavar="N", help="default 9000")
    options = parser.parse_args()
    daemon = next(peer for peer in PEERS if peer.name == "fairleadd")
    taken: list[float] = []
    slowest: dict[bool, list[float]] = {False: [], True: []}
    with Lab(1) as lab, daemon.running(lab, "tcp") as running:
        with lab.held_client("hold", running.address, connections=options.sessions):
            for _ in range(options.rounds):
                for is_watched in (False, True):
                    watcher = Watcher(lab, options.sessions) if is_watched else None
                    slowest[is_watched].append(measure(lab, running.address, watcher)["max_us"] / 1e3)
                    taken += watcher.taken if watcher else []
    print(f"{options.sessions} sessions, {options.rounds} rounds, {len(taken)} listings\n")
    show("fairlead sessions --json", taken, "s", 3)
    show("slowest round trip, nobody looks", slowest[False], "ms", 2)
    show("slowest round trip, while they are listed", slowest[True], "ms", 2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
