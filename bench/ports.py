#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What 250 published ports cost under a Docker Engine: its own docker-proxy, and Fairlead.

Each round starts the engine once for each subject, one after the other, so that whatever else the
machine does meets all of them alike:

    docker-proxy    Debian's
    fairlead        fairlead-docker-proxy in its place
    with fairleadd  the same, and a daemon that takes the ports over
    no proxy        --userland-proxy=false: the engine's own work for the same ports, the control

What a proxy takes of the free memory is what a subject takes more than the control of its round. Of
`docker rm -f` most is the engine's work on its firewall, as the control shows, and a proxy's part
is lost in it; so the end of the proxies is timed on its own: with the container published once
more, each is sent SIGINT and waited for, one after the other, as the engine does it.
"""

import argparse
import json
import os
import select
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from lab.daemon import Daemon
from lab.engine import PROXY, Engine
from lab.image import import_webapp
from lab.installation import Unavailable, find_installed, find_unstable
from lab.netns import Network
from lab.wait import wait_until

FIRST_PORT = 20000
DOCKER_PROXIES = ["/usr/sbin/docker-proxy", "/usr/bin/docker-proxy"]
RUN_LIMIT_S = 300
# Memory is read when it has not moved by more than this for a second; others use this machine too.
SETTLED_KB = 1024
SETTLE_LIMIT_S = 20

Values = dict[str, float]


@dataclass(frozen=True)
class Subject:
    name: str
    proxy: str | Path | None
    options: tuple[str, ...] = ()
    has_daemon: bool = False


@dataclass(frozen=True)
class Row:
    """A line of the table, with how a subject's value comes from its round."""

    title: str
    unit: str
    digits: int
    value: Callable[[Values, Values], float]  # of what was measured, and of the control
    of_control: bool = False
    of_daemon: bool = False


@dataclass(frozen=True)
class Bar:
    """What Fairlead is to reach: its median, or that divided by the original's, at most this."""

    title: str
    row: str
    at_most: float
    is_ratio: bool


ROWS = {
    "pss": Row("PSS of a proxy", "kB", 1, lambda own, _: own["pss_kb"]),
    "memory": Row(
        "free memory for a proxy",
        "kB",
        1,
        lambda own, control: (own["memory_kb"] - control["memory_kb"]) / own["proxies"],
    ),
    "charged": Row(
        "memory charged for a proxy",
        "kB",
        1,
        lambda own, control: (own["charged_kb"] - control["charged_kb"]) / own["proxies"],
    ),
    "threads": Row("threads of an idle proxy", "", 0, lambda own, _: own["threads"]),
    "daemon": Row("PSS of the daemon", "MB", 1, lambda own, _: own["daemon_kb"] / 1000, False, True),
    "run": Row("docker run", "s", 2, lambda own, _: own["run_s"], True),
    "rm": Row("docker rm -f", "s", 2, lambda own, _: own["rm_s"], True),
    "stop": Row("all proxies' end", "s", 3, lambda own, _: own["stop_s"]),
}

BARS = [
    Bar("a proxy's PSS is 40 kB at most", "pss", 40, False),
    Bar("a proxy costs a fifth of the free memory at most", "memory", 0.2, True),
    Bar("... and of the memory charged", "charged", 0.2, True),
    Bar("an idle proxy is one thread", "threads", 1, False),
    Bar("docker run is not slower", "run", 1, True),
    Bar("stopping the proxies takes half the time at most", "stop", 0.5, True),
]


def find_docker_proxy() -> str:
    for path in DOCKER_PROXIES:
        if os.access(path, os.X_OK):
            return path
    raise Unavailable(f"Debian's docker-proxy is not at any of {' '.join(DOCKER_PROXIES)}")


def read_kb(path: str, name: str) -> int:
    """A line as `Pss:  28 kB` of a file below /proc."""
    for line in Path(path).read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise KeyError(f"{path} has no {name}")


def read_free_kb() -> int:
    """MemAvailable once it has settled, or as it is in the end."""
    deadline = time.monotonic() + SETTLE_LIMIT_S
    seen: list[int] = []
    while time.monotonic() < deadline:
        seen = [*seen[-9:], read_kb("/proc/meminfo", "MemAvailable")]
        if len(seen) == 10 and max(seen) - min(seen) <= SETTLED_KB:
            break
        time.sleep(0.1)
    return round(statistics.median(seen))


def timed(engine: Engine, *words: str) -> float:
    began = time.monotonic()
    engine.docker(*words, limit_s=RUN_LIMIT_S)
    return time.monotonic() - began


def stop_proxies(engine: Engine) -> float:
    """As the engine stops them: SIGINT and wait, one after the other."""
    handles = [os.pidfd_open(proxy.pid) for proxy in engine.proxies()]
    began = time.monotonic()
    for handle in handles:
        signal.pidfd_send_signal(handle, signal.SIGINT)
        if not select.select([handle], [], [], 30)[0]:
            raise SystemExit("ports: a proxy did not end within 30 s of SIGINT")
    taken = time.monotonic() - began
    for handle in handles:
        os.close(handle)
    return taken


def measure_proxies(engine: Engine, ports: int, has_proxy: bool) -> Values:
    """Those of all ports, as they idle."""
    pids = [proxy.pid for proxy in engine.proxies()]
    expected = 2 * ports if has_proxy else 0  # one for each family
    if len(pids) != expected:
        raise SystemExit(f"ports: there are {len(pids)} proxies, not {expected}")
    pss = [read_kb(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids]
    threads = [len(os.listdir(f"/proc/{pid}/task")) for pid in pids]
    return {
        "proxies": len(pids),
        "pss_kb": sum(pss) / max(len(pids), 1),
        "threads": max(threads, default=0),
    }


def wait_for_handover(daemon: Daemon, rules: int) -> None:
    wait_until(lambda: daemon.get("/v1/stats")["rules"] == rules, "the daemon has all ports", 60)


def check_who_carries(engine: Engine, daemon: Daemon) -> None:
    """One who connects to a port on which nothing listens in the container."""
    before = daemon.get("/v1/stats")["counters"]["ended"].get("refused", 0)
    with engine.host.connect("::1", FIRST_PORT) as session:
        try:
            session.recv(1)
        except ConnectionResetError:
            pass
    if daemon.get("/v1/stats")["counters"]["ended"].get("refused", 0) != before + 1:
        raise SystemExit("ports: the daemon has not carried what came to a port")


def measure(engine: Engine, subject: Subject, ports: int) -> Values:
    """With or without a daemon that takes the ports over."""
    if not subject.has_daemon:
        return measure_engine(engine, subject, ports, None)
    folder = engine.work / "fairleadd"
    folder.mkdir(exist_ok=True)
    daemon = Daemon(folder, enter=engine.host.enter)
    try:
        return measure_engine(engine, subject, ports, daemon)
    finally:
        daemon.kill()


def measure_engine(engine: Engine, subject: Subject, ports: int, daemon: Daemon | None) -> Values:
    """One start of the engine, one container with all ports, its removal."""
    env = {"FAIRLEAD_HANDOVER": str(daemon.drop_in_socket)} if daemon else None
    engine.start(*subject.options, proxy=subject.proxy, env=env)
    # One without a port first: what the engine does once only, it has done then.
    engine.docker("run", "-d", "--name", "none", "webapp")
    engine.docker("rm", "-f", "none")
    last = FIRST_PORT + ports - 1
    published = f"{FIRST_PORT}-{last}:{FIRST_PORT}-{last}"
    before, charged_before = read_free_kb(), engine.read_memory_kb()
    run_s = timed(engine, "run", "-d", "--name", "many", "-p", published, "webapp")
    if daemon:
        wait_for_handover(daemon, 2 * ports)
        check_who_carries(engine, daemon)
    during, charged = read_free_kb(), engine.read_memory_kb() - charged_before
    values = measure_proxies(engine, ports, subject.proxy is not None)
    if daemon:
        values["daemon_kb"] = read_kb(f"/proc/{daemon.process.pid}/smaps_rollup", "Pss")
    rm_s = timed(engine, "rm", "-f", "many")
    engine.wait_for_no_proxy()
    # Before and after, so that what others take meanwhile counts half.
    free = (before + read_free_kb()) / 2
    stop_s = 0.0
    if subject.proxy is not None:
        engine.docker("run", "-d", "--name", "many", "-p", published, "webapp", limit_s=RUN_LIMIT_S)
        stop_s = stop_proxies(engine)
        engine.docker("rm", "-f", "many", limit_s=RUN_LIMIT_S)
    engine.stop()
    values |= {"run_s": run_s, "rm_s": rm_s, "stop_s": stop_s}
    return {**values, "memory_kb": free - during, "charged_kb": charged}


def measure_rounds(
    engine: Engine, subjects: list[Subject], rounds: int, ports: int
) -> dict[str, list[Values]]:
    measured: dict[str, list[Values]] = {subject.name: [] for subject in subjects}
    for number in range(1, rounds + 1):
        for subject in subjects:
            print(f"round {number} of {rounds}: {subject.name}", file=sys.stderr, flush=True)
            measured[subject.name].append(measure(engine, subject, ports))
    return measured


def tabulate(measured: dict[str, list[Values]], control: str) -> dict[str, dict[str, list[float]]]:
    """For each row, each subject's value of each round; the control has no proxy to tell of."""
    return {
        key: {
            name: [row.value(own, base) for own, base in zip(values, measured[control])]
            for name, values in measured.items()
            if (name != control or row.of_control)
            and (not row.of_daemon or "daemon_kb" in values[0])
        }
        for key, row in ROWS.items()
    }


def ratio(table: dict[str, dict[str, list[float]]], key: str, subjects: list[Subject]) -> float:
    if not all(s.name in table[key] for s in subjects[:2]):
        return float("nan")
    original, ours = (statistics.median(table[key][s.name]) for s in subjects[:2])
    return ours / original if original > 0 else float("nan")


def show(table: dict[str, dict[str, list[float]]], subjects: list[Subject]) -> None:
    print(f"{'median (least to most)':32}" + "".join(f"{s.name:>26}" for s in subjects) + "  ratio")
    for key, row in ROWS.items():
        line = f"{row.title + (f', {row.unit}' if row.unit else ''):32}"
        for subject in subjects:
            values = table[key].get(subject.name)
            text = ""
            if values:
                shown = [f"{v:.{row.digits}f}" for v in (min(values), max(values))]
                text = f"{statistics.median(values):.{row.digits}f} ({' to '.join(shown)})"
            line += f"{text:>26}"
        print(f"{line}  {ratio(table, key, subjects):5.2f}")


def judge(table: dict[str, dict[str, list[float]]], subjects: list[Subject]) -> list[dict]:
    """Whether each bar is met; None where noise, or a missing number, leaves that open."""
    found = []
    for bar in BARS:
        median = statistics.median(table[bar.row][subjects[1].name])
        value = ratio(table, bar.row, subjects) if bar.is_ratio else median
        met = value <= bar.at_most if value > 0 else None
        found.append({"bar": bar.title, "value": value, "at_most": bar.at_most, "met": met})
    return found


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default 3")
    parser.add_argument("--ports", type=int, default=250, metavar="N", help="default 250")
    parser.add_argument("--unstable", action="store_true", help="the engine of Debian unstable")
    parser.add_argument("--quick", action="store_true", help="one round with 50 ports")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there too")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.ports = 1, 50
    if options.rounds < 1 or not 1 <= options.ports <= 5000:
        parser.error("--rounds is 1 or more, --ports 1 to 5000")
    return options


def main() -> int:
    options = parse_options()
    try:
        installation = find_unstable() if options.unstable else find_installed()
        docker_proxy = find_docker_proxy()
    except Unavailable as reason:
        print(f"ports: {reason}", file=sys.stderr)
        return 1
    network = Network()
    engine = None
    try:
        engine = Engine(installation, network.host)
        # A copy, as the program may be built anew meanwhile.
        fairlead = shutil.copy(PROXY, engine.work)
        subjects = [
            Subject("docker-proxy", docker_proxy),
            Subject("fairlead", fairlead),
            Subject("with fairleadd", fairlead, has_daemon=True),
            Subject("no proxy", None, ("--userland-proxy=false",)),
        ]
        engine.start()
        import_webapp(engine)
        engine.stop()
        measured = measure_rounds(engine, subjects, options.rounds, options.ports)
    finally:
        if engine:
            engine.close()
        network.close()
    table = tabulate(measured, subjects[-1].name)
    load = os.getloadavg()[0]
    print(f"Docker Engine {installation.version}, {options.ports} ports, {options.rounds} rounds;")
    print(f"{os.cpu_count()} processors, load of the machine at the end {load:.1f}\n")
    show(table, subjects)
    print()
    bars = judge(table, subjects)
    for bar in bars:
        verdict = {True: "met    ", False: "NOT met", None: "unclear"}[bar["met"]]
        print(f"{verdict}  {bar['bar']}: {bar['value']:.2f}, bar {bar['at_most']:g}")
    if options.json:
        result = {"engine": installation.version, "ports": options.ports, "measured": measured}
        result |= {"rows": table, "bars": bars, "load": load, "processors": os.cpu_count()}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
