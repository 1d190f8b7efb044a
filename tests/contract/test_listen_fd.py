# SPDX-License-Identifier: Apache-2.0
"""Descriptor 4, -use-listen-fd: dockerd has opened the socket, and hands it over."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

import pytest

from backends import TcpBackend, UdpBackend, echo, mirror
from clients import connect, echoes, udp_client, udp_echoes
from conftest import Container, Launch, Serve, generation_b, original_fails
from options import assert_tuned, options_of_session
from proxy import Program, flags

pytestmark = generation_b

ANY_PORT = 0


@pytest.fixture
def service(container: Container) -> tuple[str, int]:
    return container(TcpBackend(echo)).address


@pytest.fixture
def udp_service(container: Container) -> tuple[str, int]:
    return container(UdpBackend(mirror)).address


@pytest.fixture
def opened() -> Iterator[Callable[..., socket.socket]]:
    """Opens the host's side of a port with options that dockerd sets."""
    sockets: list[socket.socket] = []

    def open_socket(
        host: str, kind: socket.SocketKind, v6only: int = 1, listens: bool = True
    ) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        it = socket.socket(family, kind)
        sockets.append(it)
        if family == socket.AF_INET6:
            it.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        if kind == socket.SOCK_STREAM:
            it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        it.bind((host, ANY_PORT))
        if kind == socket.SOCK_STREAM and listens:
            it.listen(4096)
        return it

    yield open_socket
    for it in sockets:
        it.close()


Opened = Callable[..., socket.socket]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_tcp(serve: Serve, opened: Opened, service: tuple[str, int], host: str) -> None:
    listener = opened(host, socket.SOCK_STREAM)
    serve(service, host, listener=listener)
    port = listener.getsockname()[1]
    assert echoes(("::1" if ":" in host else "127.0.0.1", port))


def test_tcp_of_both_families(serve: Serve, opened: Opened, service: tuple[str, int]) -> None:
    listener = opened("::", socket.SOCK_STREAM, v6only=0)
    serve(service, "::", listener=listener)
    port = listener.getsockname()[1]
    assert echoes(("127.0.0.1", port))
    assert echoes(("::1", port))


def test_blocking_socket_does_not_block(
    serve: Serve, opened: Opened, service: tuple[str, int]
) -> None:
    """A client that leaves before it is accepted must not hold up those after it."""
    listener = opened("127.0.0.1", socket.SOCK_STREAM)
    assert os.get_blocking(listener.fileno())
    proxy = serve(service, listener=listener)
    assert not os.get_blocking(listener.fileno())  # the file description is one for both of us
    assert echoes(proxy.address)


def test_connections_from_before_the_start(
    serve: Serve, opened: Opened, service: tuple[str, int]
) -> None:
    listener = opened("127.0.0.1", socket.SOCK_STREAM)
    early = [connect(listener.getsockname()) for _ in range(20)]
    for number, client in enumerate(early):
        client.sendall(b"%04d" % number)
    serve(service, listener=listener)
    for number, client in enumerate(early):
        with client:
            assert client.recv(100) == b"%04d" % number


@pytest.mark.parametrize("when", ["before", "after"])
def test_options_of_a_session(
    serve: Serve, opened: Opened, service: tuple[str, int], when: str
) -> None:
    """What is inherited from the listener came too late for those who connected earlier."""
    listener = opened("127.0.0.1", socket.SOCK_STREAM)
    client = connect(listener.getsockname()) if when == "before" else None
    proxy = serve(service, listener=listener)
    client = client or connect(proxy.address)
    with client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert_tuned(options_of_session(proxy, client.getsockname(), service)["client"])


@pytest.mark.parametrize("pktinfo", [True, False], ids=["pktinfo", "no pktinfo"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_udp(
    serve: Serve, opened: Opened, udp_service: tuple[str, int], host: str, pktinfo: bool
) -> None:
    listener = opened(host, socket.SOCK_DGRAM)
    if pktinfo and ":" in host:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    elif pktinfo:
        listener.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    serve(udp_service, host, "udp", listener=listener)
    port = listener.getsockname()[1]
    assert udp_echoes(("::1" if ":" in host else "127.0.0.1", port))


def test_udp_of_both_families(
    serve: Serve, opened: Opened, udp_service: tuple[str, int]
) -> None:
    listener = opened("::", socket.SOCK_DGRAM, v6only=0)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    serve(udp_service, "::", "udp", listener=listener)
    port = listener.getsockname()[1]
    assert udp_echoes(("127.0.0.1", port))
    assert udp_echoes(("::1", port))


def test_datagrams_from_before_the_start(
    serve: Serve, opened: Opened, udp_service: tuple[str, int]
) -> None:
    listener = opened("127.0.0.1", socket.SOCK_DGRAM)
    with udp_client("127.0.0.1") as client:
        client.sendto(b"early", listener.getsockname())
        serve(udp_service, "127.0.0.1", "udp", listener=listener)
        assert client.recvfrom(100) == (b"early", listener.getsockname())


def test_port_of_the_socket_counts(
    launch: Launch, opened: Opened, service: tuple[str, int]
) -> None:
    listener = opened("127.0.0.1", socket.SOCK_STREAM)
    words = ["-use-listen-fd", "-container-ip", service[0], "-container-port", str(service[1])]
    assert launch(*words, listener=listener).read_status() == b"0\n"
    assert echoes(listener.getsockname())


def failure(launch: Launch, proto: str, listener: socket.socket | IO | None) -> str:
    """What dockerd is told of a descriptor 4 that is no good: one sentence."""
    words = flags(proto, "127.0.0.1", 80, "127.0.0.1", 80)
    proxy = launch(*words, "-use-listen-fd", listener=listener)
    status = proxy.read_status().decode()
    assert status.startswith("1\n")
    assert proxy.wait() == 1
    sentence = status[2:]
    assert sentence and "\n" not in sentence
    return sentence


def test_wrong_type(launch: Launch, opened: Opened, program: Program) -> None:
    tcp = opened("127.0.0.1", socket.SOCK_STREAM)
    udp = opened("127.0.0.1", socket.SOCK_DGRAM)
    for proto, other in (("udp", tcp), ("tcp", udp)):
        sentence = failure(launch, proto, other)
        assert not program.is_ours or f"descriptor 4 is not a {proto} socket" in sentence


@original_fails("it says that it serves")
def test_not_listening(launch: Launch, opened: Opened) -> None:
    bound = opened("127.0.0.1", socket.SOCK_STREAM, listens=False)
    assert "does not listen" in failure(launch, "tcp", bound)


def test_not_a_socket(launch: Launch, program: Program) -> None:
    with tempfile.TemporaryFile() as file:
        sentence = failure(launch, "tcp", file)
    assert not program.is_ours or "descriptor 4 is no socket" in sentence


def test_missing(launch: Launch, program: Program) -> None:
    sentence = failure(launch, "tcp", None)
    assert not program.is_ours or "descriptor 4 is no socket" in sentence
