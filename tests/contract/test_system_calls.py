# SPDX-License-Identifier: Apache-2.0
"""
How many system calls it takes: the one figure of speed that is the same on every machine, and so
can be a test. The bounds are what was counted, and a little.
"""

import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from backends import EchoLoop, UdpBackend, mirror, read_exactly
from clients import connect, udp_client
from conftest import Container, Serve, fairlead_only
from proxy import Program, Proxy, wait_until

TURNS = 100
UDP_SEGMENT = 103

pytestmark = fairlead_only


@pytest.fixture(autouse=True)
def plain_build(program: Program) -> None:
    if program.is_sanitized:
        pytest.skip("the sanitizers make system calls of their own")


class Calls(Counter):
    """How many calls of each name, for one turn."""

    def per_turn(self) -> float:
        return sum(self.values()) / TURNS


@contextmanager
def counted(proxy: Proxy, folder: Path) -> Iterator[Calls]:
    """Counts the calls that the proxy makes meanwhile."""
    trace, calls = folder / "trace", Calls()
    strace = subprocess.Popen(
        ["strace", "-qq", "-f", "-p", str(proxy.pid), "-o", trace], stderr=subprocess.PIPE
    )
    wait_until(lambda: proxy.status_field("TracerPid") == str(strace.pid), "strace is attached")
    try:
        yield calls
    finally:
        strace.terminate()
        strace.communicate()
    calls.update(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    print(f"{calls.per_turn():.1f} for each of {TURNS}: {dict(calls)}")


def test_a_short_connection(serve: Serve, container: Container, tmp_path: Path) -> None:
    """accept, connect, a request, an answer, and both ends: with the setting up of two sockets."""
    proxy = serve(container(EchoLoop()).address, "::1")
    with counted(proxy, tmp_path) as calls:
        for _ in range(TURNS):
            with connect(proxy.address) as client:
                client.sendall(b"question")
                assert read_exactly(client, 8) == b"question"
                client.shutdown(socket.SHUT_WR)
                assert client.recv(1) == b""
    assert calls["accept4"] >= TURNS
    # of which one is getsockname, because the backend is on the loopback interface
    assert calls.per_turn() <= 24.5
    assert calls["epoll_ctl"] <= 2 * TURNS, "a session is registered once"
    assert calls["pipe2"] == calls["mmap"] // TURNS == 0, "a small one needs no pipe and no memory"


def test_a_request_on_an_open_connection(
    serve: Serve, container: Container, tmp_path: Path
) -> None:
    proxy = serve(container(EchoLoop()).address, "::1")
    with connect(proxy.address) as client:
        client.sendall(b"question")
        assert read_exactly(client, 8) == b"question"
        with counted(proxy, tmp_path) as calls:
            for _ in range(TURNS):
                client.sendall(b"question")
                assert read_exactly(client, 8) == b"question"
    # two waits, and each way a recv and a send
    assert calls.per_turn() <= 6.2
    assert calls["recvfrom"] >= 2 * TURNS


def test_a_burst_of_datagrams(serve: Serve, container: Container, tmp_path: Path) -> None:
    """32 of them, which leave the client at once, cost hardly more than one."""
    backend = container(UdpBackend(mirror))
    proxy = serve(backend.address, "::1", "udp")
    with udp_client("::1") as client:
        client.connect(proxy.address)
        client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 100)
        client.send(bytes(100))
        wait_until(lambda: len(backend.seen) == 1, "the client is known")
        with counted(proxy, tmp_path) as calls:
            for turn in range(TURNS // 10):
                client.send(bytes(3200))
                wait_until(lambda: len(backend.seen) == 1 + 32 * (turn + 1), "all have come")
    assert calls["sendmmsg"] <= 33 * TURNS // 10  # one there, and at most one for each answer
    there = calls["sendmmsg"] - calls["recvmmsg"]
    assert there <= TURNS // 10, calls


def test_answers_to_many_clients(serve: Serve, container: Container, tmp_path: Path) -> None:
    """Those that come at the same time leave together, whoever they are for."""
    backend = container(UdpBackend(lambda data, sender: None))
    proxy = serve(backend.address, "::1", "udp")
    with ExitStack() as stack:
        clients = [stack.enter_context(udp_client("::1")) for _ in range(16)]
        for client in clients:
            client.sendto(b"question", proxy.address)
        wait_until(lambda: len(backend.seen) == len(clients), "all are known")
        with counted(proxy, tmp_path) as calls:
            for turn in range(TURNS // 10):
                for _, sender in backend.seen:
                    backend.send(b"answer %d" % turn, sender)
                for client in clients:
                    assert client.recv(100) == b"answer %d" % turn
    # the first of a turn comes alone
    assert calls["sendmmsg"] <= len(clients) * TURNS // 10 // 2
