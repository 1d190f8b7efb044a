# SPDX-License-Identifier: Apache-2.0
"""UDP: every datagram arrives as it is, and answers come from where the question went."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from backends import UdpBackend, mirror, silent
from clients import digest, pattern, udp_client, udp_echoes
from conftest import Container, Serve, original_fails
from proxy import wait_until

SIZES = [1, 2, 1472, 1473, 9000, 65507]
LOCAL_4 = ["127.0.0.1", "127.0.0.2", "127.1.2.3"]
LOCAL_6 = ["::1", "fd00:7::1", "fd00:7::2"]
UDP_SEGMENT = 103  # linux/udp.h


@pytest.fixture
def service(container: Container) -> tuple[str, int]:
    return container(UdpBackend(mirror)).address


@pytest.fixture
def more_addresses() -> Iterator[None]:
    """Some IPv6 addresses more than lo has."""
    added = LOCAL_6[1:]
    for address in added:
        change_address("add", address)
    yield
    for address in added:
        change_address("del", address)


def change_address(action: str, address: str) -> None:
    words = ["ip", "address", action, f"{address}/128", "dev", "lo"]
    subprocess.run(words + (["nodad"] if action == "add" else []), check=True)


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_echo(serve: Serve, container: Container, host: str, target: str) -> None:
    proxy = serve(container(UdpBackend(mirror, target)).address, host, "udp")
    assert udp_echoes(("::1" if ":" in host else "127.0.0.1", proxy.address[1]))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", SIZES)
def test_sizes(serve: Serve, container: Container, host: str, size: int) -> None:
    backend = container(UdpBackend(mirror))
    proxy = serve(backend.address, host, "udp")
    data = pattern(size)
    with udp_client(host) as client:
        client.sendto(data, proxy.address)
        answer, _ = client.recvfrom(65536)
    assert digest(backend.seen[0][0]) == digest(data)
    assert digest(answer) == digest(data)


@original_fails("datagrams of no bytes vanish")
def test_no_bytes_to_the_backend(serve: Serve, container: Container) -> None:
    backend = container(UdpBackend(silent))
    proxy = serve(backend.address, proto="udp")
    with udp_client("127.0.0.1") as client:
        client.sendto(b"", proxy.address)
        client.sendto(b"behind it", proxy.address)
        wait_until(lambda: b"behind it" in datagrams(backend), "the datagram behind the empty one")
    assert datagrams(backend) == [b"", b"behind it"]


def datagrams(backend: UdpBackend) -> list[bytes]:
    return [data for data, _ in backend.seen]


@original_fails("datagrams of no bytes vanish")
def test_no_bytes_to_the_client(serve: Serve, container: Container) -> None:
    answers = {b"first": b"", b"second": b"2"}
    backend = container(UdpBackend(lambda data, _: answers[data]))
    proxy = serve(backend.address, proto="udp")
    with udp_client("127.0.0.1") as client:
        client.sendto(b"first", proxy.address)
        wait_until(lambda: len(backend.seen) == 1, "the first datagram")
        client.sendto(b"second", proxy.address)
        assert client.recv(100) == b""
        assert client.recv(100) == b"2"


@original_fails("the kernel chooses the source of an answer (libnetwork#1729)")
@pytest.mark.parametrize("host, locals_", [("0.0.0.0", LOCAL_4), ("::", LOCAL_6)])
def test_answers_come_from_the_address_asked(
    serve: Serve,
    service: tuple[str, int],
    more_addresses: None,
    host: str,
    locals_: list[str],
) -> None:
    proxy = serve(service, host, "udp")
    with udp_client(host) as client:  # one socket for all: each address is a session of its own
        client.bind((locals_[0], 0))
        for turn in range(2):
            for address in locals_:
                question = f"{turn} for {address}".encode()
                client.sendto(question, (address, proxy.address[1]))
                answer, sender = client.recvfrom(100)
                assert (answer, sender[0]) == (question, address)


def test_container_that_starts_late(
    serve: Serve, container: Container, new_port: Callable[[], int]
) -> None:
    """Two datagrams are refused; the third is for a container that listens."""
    target = ("127.0.0.1", new_port())
    proxy = serve(target, proto="udp")
    before = refusals()
    with udp_client("127.0.0.1") as client:
        client.sendto(b"first", proxy.address)
        wait_until(lambda: refusals() > before, "a refusal")
        client.sendto(b"second", proxy.address)
        time.sleep(0.2)  # the original may not send this one, so there is nothing to wait for
        backend = container(UdpBackend(mirror, port=target[1]))
        client.sendto(b"third", proxy.address)
        assert client.recv(100) == b"third"
    assert datagrams(backend) == [b"third"]


def refusals() -> int:
    """How many datagrams have met no listener in this namespace."""
    words = open("/proc/net/snmp").read().split("\nUdp: ")[2].split()
    return int(words[1])


@original_fails("a refusal ends the session", generations="A")
def test_session_survives_refusals(
    serve: Serve, container: Container, new_port: Callable[[], int]
) -> None:
    target = ("127.0.0.1", new_port())
    backend = container(UdpBackend(mirror, port=target[1]))
    proxy = serve(target, proto="udp")
    with udp_client("127.0.0.1") as client:
        client.sendto(b"before", proxy.address)
        assert client.recv(100) == b"before"
        backend.close()
        before = refusals()
        client.sendto(b"refused", proxy.address)
        wait_until(lambda: refusals() > before, "a refusal")
        again = container(UdpBackend(mirror, port=target[1]))
        client.sendto(b"after", proxy.address)
        assert client.recv(100) == b"after"
    assert again.sources[-1] == backend.sources[0]


@original_fails("the news of a refusal may take the next datagram's place", untried=True)
def test_refusals_cost_no_datagram(serve: Serve, new_port: Callable[[], int]) -> None:
    """
    The kernel tells of a refusal where the next datagram is sent, and does not send it. The proxy
    is held up meanwhile, so that it meets all of them at once, and has no time to ask for the news.
    """
    proxy = serve(("127.0.0.1", new_port()), proto="udp")
    before = refusals()
    with udp_client("127.0.0.1") as one, udp_client("127.0.0.1") as other:
        proxy.process.send_signal(signal.SIGSTOP)
        for client in [one, other] * 5:
            client.sendto(b"x", proxy.address)
        proxy.process.send_signal(signal.SIGCONT)
        wait_until(lambda: refusals() == before + 10, "ten refusals")


def test_client_that_left(serve: Serve, container: Container) -> None:
    """Answers that nobody takes do no harm to others."""
    backend = container(UdpBackend(mirror))
    proxy = serve(backend.address, proto="udp")
    with udp_client("127.0.0.1") as client:
        client.sendto(b"x", proxy.address)
        assert client.recv(1) == b"x"
    before = refusals()
    for number in range(3):  # of lengths that cannot leave together, as one packet
        backend.send(b"late" * (number + 1), backend.seen[0][1])
    wait_until(lambda: refusals() >= before + 3, "three answers that nobody takes")
    assert udp_echoes(proxy.address)


def test_many_clients_at_once(serve: Serve, service: tuple[str, int]) -> None:
    proxy = serve(service, "::1", "udp")
    clients = [udp_client("::1") for _ in range(500)]
    try:
        for turn in range(3):
            for first in range(0, len(clients), 100):  # so many fit into the receive buffer
                some = range(first, first + 100)
                for number in some:
                    clients[number].sendto(b"%d %d" % (turn, number), proxy.address)
                for number in some:
                    assert clients[number].recv(100) == b"%d %d" % (turn, number)
    finally:
        for client in clients:
            client.close()


def test_each_client_has_a_source_of_its_own(serve: Serve, container: Container) -> None:
    backend = container(UdpBackend(mirror))
    proxy = serve(backend.address, proto="udp")
    with udp_client("127.0.0.1") as one, udp_client("127.0.0.1") as other:
        for client in (one, other, one, other):
            client.sendto(b"x", proxy.address)
            assert client.recv(1) == b"x"
    first, second, *again = backend.sources
    assert first != second
    assert again == [first, second]


def test_burst_keeps_its_order(serve: Serve, container: Container) -> None:
    """Few enough for the receive buffer that a socket has by default."""
    backend = container(UdpBackend(mirror))
    proxy = serve(backend.address, proto="udp")
    burst = [b"%03d" % number + pattern(97) for number in range(200)]
    with udp_client("127.0.0.1") as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for datagram in burst:
            client.sendto(datagram, proxy.address)
        answers = [client.recv(1000) for _ in burst]
    assert datagrams(backend) == burst
    assert answers == burst


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("segment, size", [(100, 1000), (1200, 12000), (1200, 11111), (1, 50)])
def test_sender_that_lets_the_kernel_segment(
    serve: Serve, container: Container, host: str, segment: int, size: int
) -> None:
    """UDP_SEGMENT, as QUIC servers and clients send: it is many datagrams, not one."""
    backend = container(UdpBackend(mirror))
    proxy = serve(backend.address, host, "udp")
    data = pattern(size)
    with udp_client(host) as client:
        client.setsockopt(socket.SOL_UDP, UDP_SEGMENT, segment)
        client.sendto(data, proxy.address)
        segments = [data[at : at + segment] for at in range(0, size, segment)]
        assert [client.recv(65536) for _ in segments] == segments
    assert datagrams(backend) == segments
