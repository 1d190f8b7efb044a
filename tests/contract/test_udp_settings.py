# SPDX-License-Identifier: Apache-2.0
"""UDP: how long a client keeps its source port, and how many there may be."""

import resource
import time

import pytest

from backends import UdpBackend, mirror, silent
from clients import udp_client, udp_echoes
from conftest import Container, Serve, fairlead_only, original_fails
from proxy import Program, wait_until

IDLE = {"FAIRLEAD_UDP_IDLE_TIMEOUT": "1s"}


def test_one_sided_flow_keeps_its_source(serve: Serve, container: Container) -> None:
    """As of syslog: the container never answers."""
    backend = container(UdpBackend(silent))
    proxy = serve(backend.address, proto="udp", settings=IDLE)
    with udp_client("127.0.0.1") as client:
        send_slowly(client, proxy.address)
    wait_until(lambda: len(backend.seen) == 15, "15 datagrams")
    assert len(set(backend.sources)) == 1


def send_slowly(client, address: tuple[str, int]) -> None:
    """For longer than the idle timeout, but never idle for so long."""
    for number in range(15):
        client.sendto(b"%d" % number, address)
        time.sleep(0.1)


@fairlead_only
def test_idle_client_gets_another_source(serve: Serve, container: Container) -> None:
    """The original's timeout, 90 s, is no setting."""
    backend = container(UdpBackend(silent))
    proxy = serve(backend.address, proto="udp", settings=IDLE)
    with udp_client("127.0.0.1") as client:
        client.sendto(b"first", proxy.address)
        wait_until(lambda: len(backend.seen) == 1, "the first datagram")
        wait_until(lambda: len(proxy.sockets_to(backend.address)) == 0, "the end of the session")
        client.sendto(b"second", proxy.address)
        wait_until(lambda: len(backend.seen) == 2, "the second datagram")
    assert backend.sources[0] != backend.sources[1]


@fairlead_only
def test_answers_keep_a_client(serve: Serve, container: Container) -> None:
    """A stream that was asked for once goes on for longer than the timeout."""
    backend = container(UdpBackend(silent))
    proxy = serve(backend.address, proto="udp", settings=IDLE)
    with udp_client("127.0.0.1") as client:
        client.sendto(b"go on", proxy.address)
        wait_until(lambda: len(backend.seen) == 1, "the question")
        for number in range(15):
            backend.send(b"%d" % number, backend.seen[0][1])
            assert client.recv(100) == b"%d" % number
            time.sleep(0.1)


@original_fails("without a descriptor for it, a new client is dropped")
def test_more_clients_than_descriptors(serve: Serve, container: Container) -> None:
    """The one that was idle longest makes room."""
    backend = container(UdpBackend(mirror))
    proxy = serve(backend.address, proto="udp", limits=(64, 64))
    for number in range(100):
        with udp_client("127.0.0.1") as client:
            client.settimeout(3)
            client.sendto(b"%d" % number, proxy.address)
            assert client.recv(100) == b"%d" % number


@fairlead_only
def test_most_clients(serve: Serve, container: Container) -> None:
    """Beyond it, the one that was idle longest makes room."""
    backend = container(UdpBackend(mirror))
    settings = {"FAIRLEAD_UDP_MAX_CLIENTS": "4"}
    proxy = serve(backend.address, proto="udp", settings=settings)
    clients = [udp_client("127.0.0.1") for _ in range(5)]

    def source(number: int) -> int:
        clients[number].sendto(b"x", proxy.address)
        assert clients[number].recv(1) == b"x"
        return backend.sources[-1]

    try:
        first = [source(number) for number in range(4)]
        assert [source(number) for number in range(4)] == first
        fifth = source(4)  # in the place of clients[0]
        assert len(proxy.sockets_to(backend.address)) == 4
        assert [source(number) for number in (1, 2, 3, 4)] == [*first[1:], fifth]
        assert source(0) != first[0]  # in the place of clients[1]
        assert [source(number) for number in (2, 3, 4)] == [*first[2:], fifth]
        assert source(1) != first[1]
    finally:
        for client in clients:
            client.close()


@fairlead_only
def test_no_memory_for_datagrams(serve: Serve, container: Container, program: Program) -> None:
    """They are dropped, and the process does not run hot meanwhile; later ones are carried."""
    if program.is_sanitized:
        pytest.skip("the sanitizers need more than that memory themselves")
    proxy = serve(container(UdpBackend(mirror)).address, proto="udp")
    had = int(proxy.proc("statm").read_text().split()[0]) * resource.getpagesize()
    limit = resource.prlimit(proxy.pid, resource.RLIMIT_AS, (had, resource.RLIM_INFINITY))
    with udp_client("127.0.0.1") as client:
        for _ in range(100):
            client.sendto(b"dropped", proxy.address)
        wait_until(lambda: proxy.status_field("State").startswith("S"), "it sleeps")
        before = int(proxy.status_field("voluntary_ctxt_switches"))
        client.sendto(b"dropped", proxy.address)
        wait_until(
            lambda: int(proxy.status_field("voluntary_ctxt_switches")) > before,
            "it slept again after one more",
        )
    resource.prlimit(proxy.pid, resource.RLIMIT_AS, limit)
    assert udp_echoes(proxy.address)
