# SPDX-License-Identifier: Apache-2.0
"""Transfers through fairlead-docker-proxy, byte for byte.

Clients on [::1], the backend on 127.0.0.1, in a network namespace of their own. The program
`transfer`, built beside this file, is both ends of each session and holds every byte that arrives
against what was sent.
"""

import json
import random
import re
import resource
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest
from proxies import BACK_PORT, BUILD, FRONT_PORT, KIB, MIB, PROXY, Proxy

TRANSFER = BUILD / "tests/transfer/transfer"

pytestmark = pytest.mark.timeout(90)


@contextmanager
def proxy_with(descriptors: int, threads: int = 1) -> Iterator[Proxy]:
    """One whose limit on open files is low: half of it is for clients, containers and pipes."""
    started = Proxy(threads, descriptors)
    try:
        yield started
    finally:
        started.close()


def transfer(*words: Any) -> dict[str, Any]:
    """Runs the program; what it found is asserted."""
    command = [TRANSFER, "--connect", FRONT_PORT, "--listen", BACK_PORT, *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    print(" ".join(map(str, words)), "->", done.stdout.strip() or done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SIZES = [0, 1, 15 * KIB, 16 * KIB, 16 * KIB + 1, 64 * KIB, MIB - 1, MIB, MIB + 1, 64 * MIB]


@pytest.mark.parametrize("size", SIZES)
def test_one_way_and_the_other(proxy: Proxy, size: int) -> None:
    assert transfer("--up", size)["up"] == size
    assert transfer("--down", size)["down"] == size


@pytest.mark.parametrize("size", SIZES)
def test_both_ways_at_once(proxy: Proxy, size: int) -> None:
    result = transfer("--up", size, "--down", size)
    assert (result["up"], result["down"]) == (size, size)


def test_a_gibibyte(proxy: Proxy, record_property: Callable[[str, object], None]) -> None:
    result = transfer("--down", 1024 * MIB, "--chunk", 256 * KIB)
    assert result["down"] == 1024 * MIB
    record_property("gibibyte_s", result["transfer_s"])


@pytest.mark.parametrize("seed", range(4))
def test_writes_of_any_size(proxy: Proxy, seed: int) -> None:
    transfer("--up", 8 * MIB, "--down", 8 * MIB, "--chunk", 40 * KIB, "--random-chunks",
             "--seed", seed)


@pytest.mark.parametrize("first", ["client", "backend"])
@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 4 * MIB])
def test_half_close(proxy: Proxy, first: str, size: int) -> None:
    """One side ends, and only then does the other begin to send."""
    result = transfer("--up", size, "--down", size, "--first", first)
    assert (result["up"], result["down"]) == (size, size)


@pytest.mark.parametrize("end", ["client", "backend"])
def test_slow_reader(proxy: Proxy, end: str) -> None:
    """It takes a tenth of what it could, while the other way goes on at full speed."""
    transfer("--up", 16 * MIB, "--down", 16 * MIB, "--slow-reader", f"{end}:{64 * KIB}:3")


def test_reader_that_pauses(proxy: Proxy) -> None:
    """Long enough that everything on the way is full."""
    transfer("--down", 16 * MIB, "--slow-reader", f"client:{256 * KIB}:30", "--chunk", 256 * KIB)


@pytest.mark.parametrize("end", ["client", "backend"])
def test_slow_writer(proxy: Proxy, end: str) -> None:
    transfer("--up", 512 * KIB, "--down", 512 * KIB, "--slow-writer", f"{end}:1000:1")


@pytest.mark.parametrize("seed", range(3))
def test_small_and_bulk_in_turns(proxy: Proxy, seed: int) -> None:
    """Each direction goes from copying to splicing and back, many times."""
    before = proxy.pipes()
    transfer("--up", 12 * MIB, "--down", 12 * MIB, "--phases", "--seed", seed)
    assert proxy.pipes() > before  # kept for later: it did splice


@pytest.mark.parametrize("end", ["client", "backend"])
@pytest.mark.parametrize("case", range(12))
def test_reset_never_looks_like_an_end(proxy: Proxy, end: str, case: int) -> None:
    """At a random point of a transfer; the seed is the case's number, and so always the same."""
    chosen = random.Random(f"{end} {case}")
    size = chosen.choice([20 * KIB, 300 * KIB, 8 * MIB])
    at = chosen.randrange(size + 1)
    words = ["--up", size, "--down", size, "--reset", f"{end}:{at}", "--seed", case]
    if case % 3 == 0:
        other = "backend" if end == "client" else "client"
        words += ["--slow-reader", f"{other}:{32 * KIB}:1"]
    transfer(*words)


@pytest.mark.parametrize("end", ["client", "backend"])
def test_reset_at_the_very_ends(proxy: Proxy, end: str) -> None:
    """Before the first byte, and in place of the end of file."""
    transfer("--up", MIB, "--down", MIB, "--reset", f"{end}:0")
    transfer("--up", MIB, "--down", MIB, "--reset", f"{end}:{MIB}")


@pytest.mark.parametrize("threads, descriptors, sessions", [(1, 9, 1), (4, 21, 4)])
def test_without_pipes(threads: int, descriptors: int, sessions: int) -> None:
    """Descriptors for the listener and the sessions, and too few for a pipe: bytes are copied."""
    with proxy_with(descriptors, threads) as proxy:
        before = proxy.pipes()  # what was handed down to it
        transfer("--sessions", sessions, "--up", 32 * MIB, "--down", 32 * MIB)
        # who is left at the end may have some in the place of those who have gone
        assert proxy.pipes() - before <= 2 * (sessions - 1)


def test_few_pipes_for_many() -> None:
    """Of 48, the last eighth is not for pipes, and the sessions leave two or so of the others."""
    with proxy_with(descriptors=64):
        transfer("--sessions", 18, "--up", 4 * MIB, "--down", 4 * MIB)


def test_two_hundred_sessions_at_once(
    proxy: Proxy, record_property: Callable[[str, object], None]
) -> None:
    result = transfer("--sessions", 200, "--up", MIB, "--down", MIB)
    assert (result["up"], result["down"]) == (200 * MIB, 200 * MIB)
    record_property("200_sessions_s", result["transfer_s"])


def test_two_hundred_resets_at_once(proxy: Proxy) -> None:
    transfer("--sessions", 200, "--up", MIB, "--down", MIB, "--reset", f"client:{MIB // 2}")


def test_five_thousand_sessions_that_were_idle(
    proxy: Proxy, record_property: Callable[[str, object], None]
) -> None:
    """All are open before the first byte of any."""
    needed = 2 * 5000 + 50
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < needed:
        pytest.skip(f"needs a limit of {needed} open files")
    result = transfer("--sessions", 5000, "--up", 300, "--down", 3000)
    assert (result["up"], result["down"]) == (5000 * 300, 5000 * 3000)
    record_property("5000_set_up_s", result["set_up_s"])


def test_nothing_is_left_behind(proxy: Proxy) -> None:
    """Descriptors go back when sessions end, however they end. Some pipes are kept for later."""
    before = proxy.descriptors()
    transfer("--sessions", 100, "--up", 200 * KIB, "--down", 200 * KIB)
    transfer("--sessions", 100, "--up", MIB, "--down", MIB, "--reset", f"backend:{100 * KIB}")
    limit = time.monotonic() + 20
    while proxy.descriptors() > before and time.monotonic() < limit:
        time.sleep(0.1)  # until it tidies up, seconds after the last session
    # fewer, if the connection that found it listening was still there before
    assert proxy.descriptors() <= before


def kernel_bytes() -> int:
    """What the proxy's sockets hold in the kernel: ss(8), skmem."""
    # Its end of each connection; the other end is the client's or the backend's.
    condition = f"( sport = :{FRONT_PORT} or dport = :{BACK_PORT} )"
    words = ["ss", "-Htnm", "state", "connected", condition]
    report = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    total = 0
    for memory in re.findall(r"skmem:\((.*?)\)", report):
        fields = dict(re.findall(r"([a-z]+)(\d+)", memory))
        total += sum(int(fields[name]) for name in ("r", "w", "f", "o", "bl"))
    assert "skmem" in report
    return total


def send_until_stuck(backend: socket.socket, quiet_s: float = 1.0) -> int:
    """Sends until nothing has been taken for a while; returns the number of bytes."""
    piece = bytes(256 * KIB)
    sent = 0
    backend.setblocking(False)
    while select.select([], [backend], [], quiet_s)[1]:
        sent += backend.send(piece)
        assert sent < 1024 * MIB, "there is no backpressure"
    return sent


def set_receive_buffer_max(size: int) -> int:
    """How far the kernel may let receive buffers grow, in this network; returns what it was."""
    setting = Path("/proc/sys/net/ipv4/tcp_rmem")
    least, standard, before = setting.read_text().split()
    setting.write_text(f"{least} {standard} {size}")
    return int(before)


@pytest.fixture(params=[6, 32])
def receive_buffer_max(request: pytest.FixtureRequest) -> Iterator[int]:
    """net.ipv4.tcp_rmem is up to 6 MiB in most kernels, and up to 32 MiB in later ones."""
    size = request.param * MIB
    before = set_receive_buffer_max(size)
    yield size
    set_receive_buffer_max(before)


def test_client_that_reads_nothing_costs_little(
    receive_buffer_max: int, proxy: Proxy, record_property: Callable[[str, object], None]
) -> None:
    """The container sends without end. What the proxy holds of it, in all, is what its two sockets
    do, of which the one towards the container is bounded, and next to nothing of its own."""
    program = PROXY.read_bytes()
    if b"__asan_init" in program or b"__tsan_init" in program:
        pytest.skip("the sanitizers' own memory would be counted")
    with socket.create_server(("127.0.0.1", BACK_PORT)) as listener:
        client = socket.create_connection(("::1", FRONT_PORT))
        backend, _ = listener.accept()
        with client, backend:
            sent = send_until_stuck(backend)
            own, kernel = proxy.memory_bytes(), kernel_bytes()
            # what is in the pipe is in neither figure
            total = own + kernel + 256 * KIB
            print(f"{sent} bytes sent; PSS {own}, sockets {kernel}, in all {total} bytes")
            record_property("slow_reader_bytes", total)
            assert own < MIB
            assert total < 16_000_000
            backend.shutdown(socket.SHUT_WR)
            received = 0
            while part := client.recv(MIB):
                received += len(part)
            assert received == sent
