# SPDX-License-Identifier: Apache-2.0
"""Where the benchmark runs: three namespaces, and processes in them that are metered.

	client  2001:db8::100, 192.0.2.100 -- 2001:db8::2, 192.0.2.2  host  172.30.0.1 -- 172.30.0.2  box

The box has IPv4 only, as the containers have that this is about. Nothing has a name that could be
left behind: namespaces and processes end with the one that started them, however that ends.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lab.netns import HOST_OTHER_IP6, Namespace, Network
from lab.site import link_box

BUILD = Path(os.environ.get("FAIRLEAD_BUILD", "build"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD
LOAD = BUILD / "bench/load"

GATEWAY_IP4 = "172.30.0.1"
BACKEND_IP4 = "172.30.0.2"
BACKEND_PORT = 9000
PROXY_PORT = 8080
MORE_CLIENTS_IP6 = ("2001:db8::1:1", "2001:db8::1:2")
MORE_CLIENTS_IP4 = ("192.0.2.101", "192.0.2.102")

START_LIMIT_S = 20
END_LIMIT_S = 20
PR_SET_CHILD_SUBREAPER = 36
# The kernel's own default. A host that has chosen another allows its namespaces that one and reno.
CONGESTION, CONGESTION_ELSE = "cubic", "reno"
# What a measurement may take beyond the time that it was told.
SLACK_S = 60


class Failed(Exception):
    """A measurement that gave no figure, with the reason."""


def start(namespace: Namespace, words: list[str], **options: object) -> subprocess.Popen:
    """Starts a program in a namespace; its process id is that of the program itself.

    It leads a process group, so that Ctrl-C reaches this program alone, which then tidies up.
    """
    chain = [*namespace.enter, "setpriv", "--pdeathsig", "KILL", *words]
    return subprocess.Popen(chain, process_group=0, **options)  # type: ignore[call-overload]


def adopt_orphans() -> None:
    """What loses its parent becomes a child of this process, which can then wait for its end."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise Failed("prctl(PR_SET_CHILD_SUBREAPER)")


def end(process: subprocess.Popen) -> None:
    """Ends a program, and then all that it started, orphans included."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_LIMIT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-process.pid, 0)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


def tree(pid: int) -> list[int]:
    """A process and all below it that have not ended."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for word in task.read_text(encoding="utf-8").split():
                found += tree(int(word))
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, its threads and all below it, ended ones included.

    A living process has a clock that counts in ns (clock_getcpuclockid(3) tells how it is named);
    those that it has waited for are summed in ticks.
    """
    seconds = 0.0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            seconds += time.clock_gettime((~member << 3) | 2)
            stat = Path(f"/proc/{member}/stat").read_text(encoding="utf-8", errors="replace")
            waited = stat.rpartition(")")[2].split()[13:15]
            seconds += sum(map(int, waited)) / os.sysconf("SC_CLK_TCK")
    return seconds


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """What is started meanwhile never hears Ctrl-C: namespaces are needed until the tidying up."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Usage:
    """Processor time of the machine, so far, and of this program with all that it started."""

    ours: float
    busy: float
    all_of_it: float

    @classmethod
    def read(cls) -> "Usage":
        """What the hypervisor gave to others counts as busy, too."""
        line = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
        times = [int(word) / os.sysconf("SC_CLK_TCK") for word in line.split()[1:9]]
        idle = times[3] + times[4]
        return cls(cpu_seconds(os.getpid()), sum(times) - idle, sum(times))

    def others_since(self, before: "Usage") -> float:
        """The share of the processors that others used, from 0 to 1."""
        others = (self.busy - before.busy) - (self.ours - before.ours)
        return max(0.0, others / max(self.all_of_it - before.all_of_it, 0.01))


def pss_bytes(pids: list[int]) -> int:
    """Memory of processes, pages that are shared being shared out."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
            line = next(line for line in text.splitlines() if line.startswith("Pss:"))
            total += int(line.split()[1]) * 1024
    return total


def descriptors(pid: int) -> int:
    return sum(len(os.listdir(f"/proc/{member}/fd")) for member in tree(pid))


class Lab:
    """The namespaces, with the backend in the box. A context manager."""

    def __init__(self, workers: int, congestion: str = CONGESTION) -> None:
        self.workers = workers
        self.congestion = congestion
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> "Lab":
        with self.stack:
            self._make()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *reason: object) -> None:
        self.stack.close()

    def _make(self) -> None:
        adopt_orphans()
        self.folder = Path(tempfile.mkdtemp(prefix="fairlead-bench-"))
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        with deaf_to_interrupts():
            network = Network()
            self.stack.callback(network.close)
            self.box = Namespace()
            self.stack.callback(self.box.close)
        self.client, self.host = network.client, network.host
        # docker-proxy answers UDP clients from whichever of its addresses the kernel prefers.
        self.host.run("ip", "address", "del", f"{HOST_OTHER_IP6}/64", "dev", "eth1")
        set_sysctl(self.box, "net/ipv6/conf/all/disable_ipv6", "1")
        link_box(self.host, self.box, "eth2", GATEWAY_IP4, BACKEND_IP4)
        self._choose_congestion()
        # Datagrams part before they leave the client, as they would on a wire.
        self.client.run("ethtool", "-K", "eth0", "tx-udp-segmentation", "off")
        # Connections are opened faster than ports come back from TIME_WAIT.
        set_sysctl(self.client, "net/ipv4/ip_local_port_range", "1024 65535")
        set_sysctl(self.client, "net/ipv4/tcp_tw_reuse", "1")
        set_sysctl(self.host, "net/ipv4/tcp_tw_reuse", "1")
        set_sysctl(self.host, "net/ipv4/ip_forward", "1")
        self._start_backend()

    def _choose_congestion(self) -> None:
        """Of all, so that no peer gains from what this host happens to have chosen."""
        places = [self.client, self.host, self.box]
        if not all(try_congestion(place, self.congestion) for place in places):
            if self.congestion != CONGESTION:
                raise SystemExit(f"bench/run: this kernel gives namespaces no {self.congestion}")
            self.congestion = CONGESTION_ELSE
            for place in places:
                set_sysctl(place, "net/ipv4/tcp_congestion_control", self.congestion)

    def _start_backend(self) -> None:
        words = [str(LOAD), "serve", f"address={BACKEND_IP4}", f"port={BACKEND_PORT}"]
        words += [f"counters={self.counters}", f"workers={self.workers}"]
        backend = start(self.box, words, stdout=subprocess.PIPE, text=True)
        self.stack.callback(end, backend)
        assert backend.stdout
        for _ in range(self.workers):
            if backend.stdout.readline() != "ready\n":
                raise Failed("the backend did not start")

    def more_clients(self, towards: str) -> list[str]:
        """Addresses of the client that nothing chooses by itself."""
        names = MORE_CLIENTS_IP6 if ":" in towards else MORE_CLIENTS_IP4
        length = "128" if ":" in towards else "32"
        for name in names:
            words = ["address", "replace", f"{name}/{length}", "dev", "eth0", "preferred_lft", "0"]
            self.client.run("ip", *words)
        return list(names)

    @property
    def counters(self) -> Path:
        return self.folder / "counters"

    def client_words(self, mode: str, address: str, **options: object) -> list[str]:
        given = {"address": address, "port": PROXY_PORT, "counters": self.counters, **options}
        return [str(LOAD), mode, *[f"{name}={value}" for name, value in given.items()]]

    def run_client(self, mode: str, address: str, **options: object) -> dict[str, float]:
        """Runs a client to its end; what it measured."""
        options.setdefault("workers", self.workers)
        limit_s = float(str(options["seconds"])) + float(str(options["warmup"])) + SLACK_S
        words = self.client_words(mode, address, **options)
        process = start(self.client, words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            output, errors = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise Failed(f"the client had not ended after {limit_s:.0f} s") from None
        finally:
            end(process)
        if process.returncode != 0:
            raise Failed(last_line(errors.decode()) or f"the client ended {process.returncode}")
        return json.loads(output)

    @contextlib.contextmanager
    def held_client(self, mode: str, address: str, **options: object) -> Iterator[None]:
        """Runs a client that holds what it has opened until the block ends."""
        words = self.client_words(mode, address, **options)
        with holding(self.client, words):
            yield

    def is_bound(self, protocol: str, port: int) -> bool:
        """Whether a socket of the host takes clients at a port."""
        state = {"tcp": "0A", "udp": "07"}[protocol]
        for family in ("", "6"):
            text = Path(f"/proc/{self.host.holder.pid}/net/{protocol}{family}").read_text("utf-8")
            for line in text.splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == state:
                    return True
        return False

    def wait_until_bound(self, process: subprocess.Popen, protocol: str, port: int) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not self.is_bound(protocol, port):
            if process.poll() is not None:
                raise Failed(f"it ended with {process.returncode} instead of starting")
            if time.monotonic() > deadline:
                raise Failed(f"it did not start within {START_LIMIT_S} s")
            time.sleep(0.005)


@contextlib.contextmanager
def holding(namespace: Namespace, words: list[str]) -> Iterator[subprocess.Popen]:
    """A program of bench/load that says "ready", and goes on when its standard input ends."""
    pipe = subprocess.PIPE
    process = start(namespace, words, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        assert process.stdout and process.stderr
        if process.stdout.readline() != "ready\n":
            raise Failed(last_line(process.stderr.read()) or "the client did not start")
        yield process
    finally:
        end(process)


def last_line(text: str) -> str:
    return (text.splitlines() or [""])[-1]


def try_congestion(namespace: Namespace, name: str) -> bool:
    words = ["sysctl", "-qw", f"net.ipv4.tcp_congestion_control={name}"]
    namespace.run(*words, check=False)
    words = ["sysctl", "-n", "net.ipv4.tcp_congestion_control"]
    return namespace.run(*words).strip() == name


def set_sysctl(namespace: Namespace, name: str, value: str) -> None:
    namespace.run("sh", "-c", f"echo {value} >/proc/sys/{name}")

