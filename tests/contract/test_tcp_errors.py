# SPDX-License-Identifier: Apache-2.0
"""TCP: an error on one side is never taken for an end on the other."""

import socket
import threading
from collections.abc import Callable

import pytest

from backends import PATIENCE_S, TcpBackend, read_exactly, reset
from clients import connect, digest, pattern, wait_for_delivery
from conftest import Container, Serve, original_fails

clean_end = original_fails("an error on one side becomes a clean end on the other")


@original_fails("the client sees a clean end")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_refused_by_the_container(serve: Serve, new_port: Callable[[], int], host: str) -> None:
    proxy = serve(("127.0.0.1", new_port()), host)
    with pytest.raises(ConnectionResetError):  # which may come before connect has returned
        with connect(proxy.address) as client:
            client.recv(1)
    assert proxy.is_alive()


@original_fails("the client sees a clean end")
def test_no_route_to_the_container(serve: Serve) -> None:
    proxy = serve(("198.51.100.1", 80))
    with pytest.raises(ConnectionResetError):
        with connect(proxy.address) as client:
            client.recv(1)
    assert proxy.is_alive()


@clean_end
@pytest.mark.parametrize("size", [0, 1000, 100_000])
def test_backend_resets(serve: Serve, container: Container, size: int) -> None:
    data = pattern(size)

    def send_and_reset(connection: socket.socket) -> None:
        assert connection.recv(2) == b"go"
        connection.sendall(data)
        wait_for_delivery(connection)
        reset(connection)

    proxy = serve(container(TcpBackend(send_and_reset)).address)
    with connect(proxy.address) as client:
        client.sendall(b"go")
        received = read_exactly(client, size)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert digest(received) == digest(data)


@clean_end
@pytest.mark.parametrize("size", [0, 1000, 100_000])
def test_client_resets(serve: Serve, container: Container, size: int) -> None:
    data = pattern(size)
    has_read = threading.Event()

    def read_and_wait(connection: socket.socket) -> str:
        received = digest(read_exactly(connection, size))
        has_read.set()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        return received

    backend = container(TcpBackend(read_and_wait))
    client = connect(serve(backend.address).address)
    client.sendall(data)
    assert has_read.wait(PATIENCE_S)
    reset(client)
    assert backend.result() == digest(data)


@pytest.mark.parametrize("size", [100, 30_000])
def test_early_answer_to_a_large_request(serve: Serve, container: Container, size: int) -> None:
    """
    As a web server does with 413: it answers, and closes with the request unread, so that a reset
    follows the answer. The client, still sending, must be able to read it all.
    """
    check_early_answer(serve, container, pattern(size))


@original_fails("it may cut off what the client is slow to take", untried=True)
def test_early_and_large_answer_to_a_large_request(serve: Serve, container: Container) -> None:
    check_early_answer(serve, container, pattern(1_000_000))


def check_early_answer(serve: Serve, container: Container, answer: bytes) -> None:
    def answer_early(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(answer)
        wait_for_delivery(connection)

    proxy = serve(container(TcpBackend(answer_early)).address)
    with connect(proxy.address) as client:
        sender = threading.Thread(target=send_until_error, args=[client, 64 << 20])
        sender.start()
        received = read_until_error(client)
        sender.join(PATIENCE_S)
    assert digest(received) == digest(answer)


@clean_end
def test_slow_client_gets_all_before_the_reset(serve: Serve, container: Container) -> None:
    answer = pattern(1_000_000)

    def answer_and_reset(connection: socket.socket) -> None:
        assert connection.recv(2) == b"go"
        connection.sendall(answer)
        wait_for_delivery(connection)
        reset(connection)

    backend = container(TcpBackend(answer_and_reset))
    with small_connection(serve(backend.address).address) as client:
        client.sendall(b"go")
        backend.result()  # the backend is gone before the client has read a byte
        assert digest(read_exactly(client, len(answer))) == digest(answer)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def small_connection(address: tuple[str, int]) -> socket.socket:
    """Of which the client's kernel holds little that is unread."""
    client = socket.socket()
    client.settimeout(PATIENCE_S)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(address)
    return client


def send_until_error(client: socket.socket, size: int) -> None:
    try:
        client.sendall(bytes(size))
    except (ConnectionError, TimeoutError):
        pass


def read_until_error(client: socket.socket) -> bytes:
    data = b""
    try:
        while part := client.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    return data
