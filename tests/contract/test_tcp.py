# SPDX-License-Identifier: Apache-2.0
"""TCP: every byte arrives, each end crosses on its own, and each client is one connection."""

import socket
import threading

import pytest

from backends import PATIENCE_S, TcpBackend, answer_after_end, echo, read_all, read_exactly
from clients import connect, digest, echoes, pattern
from conftest import Container, Serve, original_fails
from options import Options, assert_tuned, options_of_session

SIZES = [1, 2, 1000, 16384, 65537, 1 << 20, 8 << 20]


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_echo(serve: Serve, container: Container, host: str, target: str) -> None:
    proxy = serve(container(TcpBackend(echo, target)).address, host)
    assert echoes(("::1" if ":" in host else "127.0.0.1", proxy.address[1]))


def test_other_family_is_not_served(serve: Serve, container: Container) -> None:
    """dockerd starts a proxy of its own for 0.0.0.0, on the same port."""
    backend = container(TcpBackend(echo))
    proxy = serve(backend.address, "::")
    with pytest.raises(ConnectionRefusedError):
        connect(("127.0.0.1", proxy.address[1]))


@pytest.mark.parametrize("size", SIZES)
def test_sizes_to_the_backend(serve: Serve, container: Container, size: int) -> None:
    data = pattern(size)
    backend = container(TcpBackend(read_all))
    with connect(serve(backend.address, "::1").address) as client:
        client.sendall(data)
    assert digest(backend.result()) == digest(data)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_to_the_client(serve: Serve, container: Container, size: int) -> None:
    data = pattern(size)
    backend = container(TcpBackend(lambda connection: connection.sendall(data)))
    with connect(serve(backend.address, "::1").address) as client:
        assert digest(read_all(client)) == digest(data)


@pytest.mark.parametrize("size", SIZES)
def test_both_ways_at_once(serve: Serve, container: Container, size: int) -> None:
    data = pattern(size)
    proxy = serve(container(TcpBackend(echo)).address, "::1")
    with connect(proxy.address) as client:
        sender = threading.Thread(target=client.sendall, args=[data])
        sender.start()
        received = read_exactly(client, size)
        sender.join(PATIENCE_S)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert digest(received) == digest(data)


def test_many_small_messages(serve: Serve, container: Container) -> None:
    proxy = serve(container(TcpBackend(echo)).address)
    with connect(proxy.address) as client:
        for number in range(1000):
            message = b"message %d\n" % number
            client.sendall(message)
            assert read_exactly(client, len(message)) == message


def test_backend_answers_after_the_end(serve: Serve, container: Container) -> None:
    proxy = serve(container(TcpBackend(answer_after_end)).address)
    data = pattern(300_000)
    with connect(proxy.address) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert digest(read_all(client)) == digest(data)


def test_client_goes_on_after_the_backend_ended(serve: Serve, container: Container) -> None:
    def end_and_read(connection: socket.socket) -> bytes:
        connection.sendall(b"that is all")
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)

    backend = container(TcpBackend(end_and_read))
    data = pattern(300_000)
    with connect(serve(backend.address).address) as client:
        assert read_all(client) == b"that is all"
        client.sendall(data)
    assert digest(backend.result()) == digest(data)


def test_an_end_without_a_byte(serve: Serve, container: Container) -> None:
    backend = container(TcpBackend(read_all))
    with connect(serve(backend.address).address) as client:
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert backend.result() == b""


def test_one_connection_for_each_client(serve: Serve, container: Container) -> None:
    """No probe: some backends accept once."""
    backend = container(TcpBackend(echo))
    proxy = serve(backend.address)
    for number in range(1, 6):
        assert echoes(proxy.address)
        assert backend.accepted == number


def test_backend_that_accepts_once(serve: Serve, container: Container) -> None:
    proxy = serve(container(TcpBackend(echo, most=1)).address)
    assert echoes(proxy.address)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_options_towards_the_client(serve: Serve, container: Container, host: str) -> None:
    assert_tuned(session_options(serve, container, host)["client"])


@original_fails("Go's DialTCP of its time sets no keepalive", generations="A")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_options_towards_the_container(serve: Serve, container: Container, host: str) -> None:
    assert_tuned(session_options(serve, container, host)["container"])


def session_options(serve: Serve, container: Container, host: str) -> dict[str, Options]:
    backend = container(TcpBackend(echo))
    proxy = serve(backend.address, host)
    with connect(proxy.address) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        return options_of_session(proxy, client.getsockname(), backend.address)
