# SPDX-License-Identifier: Apache-2.0
"""What is measured of each peer. A workload gives figures by name; bench/metrics.py tells of them.

Processor time is of the proxy's own processes from before the client starts until it has ended, for
all that was carried then, the time before the window included.
"""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from metrics import udp_name
from peers import KERNEL_PATH, LIMIT, Peer, Running
from quota import quota
from topology import (
    BACKEND_IP4,
    LOAD,
    Failed,
    Lab,
    cpu_seconds,
    descriptors,
    holding,
    pss_bytes,
    tree,
)

Figures = dict[str, float]

FIRST_PORT = 20000
PORTS_LIMIT_S = 300
# A quarter of a processor is less than the load leaves to any peer.
QUOTA = 0.25
# How long a proxy may take to be as it stays; its memory is read when it has not changed for long.
SETTLE_S = 0.3
SETTLE_LIMIT_S = 5


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    seconds: float = 2.0
    warmup: float = 0.5
    sessions: int = 5000
    udp_clients: int = 1000
    flows: int = 100_000
    rounds: int = 5


QUICK = Plan(seconds=0.5, warmup=0.15, sessions=1000, udp_clients=200, rounds=1)


@dataclass(frozen=True)
class Workload:
    name: str
    protocol: str
    measure: Callable[[Lab, Peer, Plan], Figures]
    in_quick: bool = True
    of_kernel: bool = True
    """Whether the kernel's own translation has such a figure."""
    of_drop_ins: bool = False
    """Whether only those have it that dockerd could start."""
    rounds_most: int = 1000
    peers: tuple[str, ...] = ()
    """Those it is for; all, if empty."""

    def suits(self, peer: Peer) -> bool:
        if self.of_drop_ins and not peer.drop_in or self.peers and peer.name not in self.peers:
            return False
        if peer.only and self.name not in peer.only:
            return False
        return self.protocol in peer.protocols and (self.of_kernel or peer.start is not None)


def run_metered(
    lab: Lab, running: Running, plan: Plan, mode: str, **options: object
) -> tuple[Figures, float | None]:
    """A client's figures, and the seconds of processor time that the proxy used for it."""
    before = cpu_seconds(running.pid) if running.pid else 0.0
    times = {"seconds": plan.seconds, "warmup": plan.warmup}
    figures = lab.run_client(mode, running.address, **times, **options)
    return figures, cpu_seconds(running.pid) - before if running.pid else None


def per(seconds: float | None, amount: float, name: str, count: float) -> Figures:
    """A share of processor time; none where nothing was carried, or nobody is to be metered."""
    return {} if seconds is None or not count else {name: seconds * amount / count}


def measure_stream(lab: Lab, peer: Peer, plan: Plan, streams: int, reverse: bool) -> Figures:
    with peer.running(lab, "tcp") as running:
        options = {"connections": streams, "reverse": int(reverse)}
        got, cpu = run_metered(lab, running, plan, "stream", **options)
    rate, total = (
        (got["rate"], got["total"]) if reverse else (got["backend_bytes_s"], got["backend_bytes"])
    )
    require(rate)
    return {"gbit_s": rate * 8 / 1e9, **per(cpu, 1e9, "cpu_s_gb", total)}


def measure_http(lab: Lab, peer: Peer, plan: Plan) -> Figures:
    with peer.running(lab, "tcp") as running:
        got, cpu = run_metered(lab, running, plan, "http", connections=32)
    require(got["rate"])
    figures = {"requests_s": got["rate"], "p99_us": got["p99_us"]}
    return {**figures, **per(cpu, 1e5, "cpu_s_100k", got["total"])}


def measure_http_quota(lab: Lab, peer: Peer, plan: Plan) -> Figures:
    with quota(QUOTA) as group, peer.running(lab, "tcp") as running:
        assert running.pid
        group.confine(running.pid)
        got, _ = run_metered(lab, running, plan, "http", connections=32)
    require(got["rate"])
    return {"requests_s": got["rate"]}


def measure_http_flows(lab: Lab, peer: Peer, plan: Plan) -> Figures:
    with peer.running(lab, "tcp") as running:
        open_flows(lab, running, plan)
        got, _ = run_metered(lab, running, plan, "http", connections=32)
    require(got["rate"])
    return {"requests_s": got["rate"], "p99_us": got["p99_us"]}


def measure_udp_flows(lab: Lab, peer: Peer, plan: Plan) -> Figures:
    with peer.running(lab, "udp") as running:
        open_flows(lab, running, plan)
        options = {"connections": 1, "size": 512, "window": 0}
        got, _ = run_metered(lab, running, plan, "udp", **options)
    require(got["backend_datagrams_s"])
    return {"datagrams_s": got["backend_datagrams_s"]}


def open_flows(lab: Lab, running: Running, plan: Plan) -> None:
    """Of UDP, as many ports of two clients; they stay, as nobody says when a flow of UDP ends."""
    for source in lab.more_clients(running.address):
        each = plan.flows // 2
        with lab.held_client("udp-open", running.address, source=source, count=each):
            pass


def measure_echo(lab: Lab, peer: Peer, plan: Plan) -> Figures:
    with peer.running(lab, "tcp") as running:
        got, cpu = run_metered(lab, running, plan, "echo", connections=1, size=64)
    require(got["rate"])
    figures = {name: got[name] for name in ("p50_us", "p99_us", "p999_us")}
    return {**figures, **per(cpu, 1e5, "cpu_s_100k", got["total"])}


def measure_connect(lab: Lab, peer: Peer, plan: Plan) -> Figures:
    with peer.running(lab, "tcp") as running:
        got, cpu = run_metered(lab, running, plan, "connect", connections=32)
    require(got["rate"])
    if got["failed"] > 0.001 * got["total"]:
        raise Failed(f"{got['failed']:.0f} connections failed, {got['total']:.0f} did not")
    figures = {"connections_s": got["rate"], "p99_us": got["p99_us"]}
    return {**figures, **per(cpu, 1e4, "cpu_s_10k", got["total"])}


def measure_udp(
    lab: Lab, peer: Peer, plan: Plan, size: int, clients: int, reply: bool
) -> Figures:
    """With replies, 64 datagrams are under way for one client, and one for each of many."""
    window = 0 if not reply else 64 if clients == 1 else 1
    with peer.running(lab, "udp") as running:
        options = {"connections": clients, "size": size, "window": window}
        got, cpu = run_metered(lab, running, plan, "udp", **options)
    rate, total = (
        (got["rate"], got["total"])
        if reply
        else (got["backend_datagrams_s"], got["backend_datagrams"])
    )
    require(rate)
    return {"datagrams_s": rate, **per(cpu, 1e6, "cpu_us", total)}


def require(rate: float) -> None:
    if rate <= 0:
        raise Failed("nothing came through")


def settled_pss(pid: int) -> int:
    """Its memory, once that no longer changes; some give back what starting took."""
    deadline = time.monotonic() + SETTLE_LIMIT_S
    last = -1
    while (now := pss_bytes(tree(pid))) != last and time.monotonic() < deadline:
        last = now
        time.sleep(SETTLE_S)
    return now


def measure_held(
    lab: Lab, peer: Peer, protocol: str, mode: str, count: int
) -> tuple[int, float, float]:
    """Idle memory, and how many bytes and descriptors each of so many sessions adds."""
    with peer.running(lab, protocol) as running:
        assert running.pid
        before, files = settled_pss(running.pid), descriptors(running.pid)
        with lab.held_client(mode, running.address, connections=count):
            more = settled_pss(running.pid) - before
            return before, more / count, (descriptors(running.pid) - files) / count


def measure_tcp_memory(lab: Lab, peer: Peer, plan: Plan) -> Figures:
    count = peer.sessions(plan.sessions)
    idle, each, files = measure_held(lab, peer, "tcp", "hold", count)
    return {"idle_kib": idle / 1024, "session_bytes": each, "session_descriptors": files}


def measure_udp_memory(lab: Lab, peer: Peer, plan: Plan) -> Figures:
    _, each, files = measure_held(lab, peer, "udp", "udp-hold", plan.udp_clients)
    return {"client_bytes": each, "client_descriptors": files}


def measure_ports(lab: Lab, peer: Peer, plan: Plan, count: int) -> Figures:
    """Started and ended one after the other, as dockerd does."""
    words = [str(LOAD), "ports", f"program={peer.find()}", f"address={BACKEND_IP4}"]
    words += [f"port={FIRST_PORT}", f"count={count}"]
    with holding(lab.host, words) as process:
        kib = pss_bytes(tree(process.pid)[1:]) / 1024 / count
        try:
            output, errors = process.communicate(timeout=PORTS_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"they had not ended after {PORTS_LIMIT_S} s") from None
        if process.returncode != 0:
            raise Failed(errors.strip() or f"load ended with {process.returncode}")
    return {**json.loads(output), "kib_port": kib}


def bulk(name: str, streams: int, reverse: bool = False) -> Workload:
    return Workload(
        name, "tcp", lambda lab, peer, plan: measure_stream(lab, peer, plan, streams, reverse)
    )


def udp(size: int, clients: int, reply: bool) -> Workload:
    return Workload(
        udp_name(size, clients, reply),
        "udp",
        lambda lab, peer, plan: measure_udp(lab, peer, plan, size, clients, reply),
        in_quick=(size, clients, reply) in [(512, 1, False), (512, 100, True)],
    )


def ports(count: int) -> Workload:
    return Workload(
        f"ports-{count}",
        "tcp",
        lambda lab, peer, plan: measure_ports(lab, peer, plan, count),
        in_quick=False,
        of_kernel=False,
        of_drop_ins=True,
        rounds_most=3,
    )


WORKLOADS = [
    bulk("bulk-1", 1),
    bulk("bulk-8", 8),
    bulk("bulk-reverse", 1, reverse=True),
    Workload("http", "tcp", measure_http),
    Workload(
        "quota-http",
        "tcp",
        measure_http_quota,
        in_quick=False,
        of_kernel=False,
        peers=("fairleadd", "fairleadd-http", "fairleadd-xff", "haproxy-http", "haproxy-http-1"),
    ),
    Workload(
        "flows-http", "tcp", measure_http_flows, in_quick=False, peers=(LIMIT, KERNEL_PATH)
    ),
    Workload("rr", "tcp", measure_echo),
    Workload("connect", "tcp", measure_connect),
    *[udp(size, n, reply) for reply in (False, True) for n in (1, 100) for size in (64, 512, 1200)],
    Workload("flows-udp", "udp", measure_udp_flows, in_quick=False, peers=(LIMIT, KERNEL_PATH)),
    Workload("memory-tcp", "tcp", measure_tcp_memory, of_kernel=False, rounds_most=3),
    Workload("memory-udp", "udp", measure_udp_memory, of_kernel=False, rounds_most=3),
    ports(250),
    ports(1000),
]


def select(words: list[str]) -> list[Workload]:
    """By name, or by the first words of one: udp is all of udp-64-1, udp-512-1 ..."""
    found = [
        workload
        for workload in WORKLOADS
        if any(workload.name == word or workload.name.startswith(f"{word}-") for word in words)
    ]
    for word in words:
        if not any(w.name == word or w.name.startswith(f"{word}-") for w in WORKLOADS):
            names = " ".join(workload.name for workload in WORKLOADS)
            raise ValueError(f"there is no workload '{word}'; there are {names}")
    return found
