# SPDX-License-Identifier: Apache-2.0
"""TCP: the settings of ours, which are environment variables of dockerd."""

import socket
import time
from collections.abc import Callable

import pytest

from backends import TcpBackend, echo, read_all, read_exactly
from clients import connect
from conftest import Container, Serve, fairlead_only
from proxy import wait_until

pytestmark = fairlead_only


def test_retry_while_the_container_boots(
    serve: Serve, container: Container, new_port: Callable[[], int]
) -> None:
    target = ("127.0.0.1", new_port())
    proxy = serve(target, settings={"FAIRLEAD_CONNECT_RETRY": "1m"})
    with connect(proxy.address) as client:
        client.sendall(b"early")
        time.sleep(0.5)  # some tries are refused
        backend = container(TcpBackend(echo, port=target[1], most=1))
        assert read_exactly(client, 5) == b"early"
    assert backend.accepted == 1


def test_retry_is_bounded(serve: Serve, new_port: Callable[[], int]) -> None:
    proxy = serve(("127.0.0.1", new_port()), settings={"FAIRLEAD_CONNECT_RETRY": "1s"})
    before = time.monotonic()
    with connect(proxy.address) as client, pytest.raises(ConnectionResetError):
        client.recv(1)
    assert time.monotonic() - before > 0.9


def test_connect_timeout(serve: Serve) -> None:
    """A listener whose backlog is full takes no notice of a SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        with socket.create_connection(listener.getsockname()):
            settings = {"FAIRLEAD_CONNECT_TIMEOUT": "1s"}
            proxy = serve(listener.getsockname(), settings=settings)
            before = time.monotonic()
            with connect(proxy.address) as client, pytest.raises(ConnectionResetError):
                client.recv(1)
            assert time.monotonic() - before > 0.9


@pytest.mark.parametrize("ends_first", ["client", "backend"])
def test_silent_half_closed_session_is_reset(
    serve: Serve, container: Container, ends_first: str
) -> None:
    def wait_for_reset(connection: socket.socket) -> None:
        if ends_first == "backend":
            connection.shutdown(socket.SHUT_WR)
        else:
            assert connection.recv(1) == b""
        wait_until(lambda: bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), "reset")

    backend = container(TcpBackend(wait_for_reset))
    proxy = serve(backend.address, settings={"FAIRLEAD_HALF_CLOSED_TIMEOUT": "1s"})
    with connect(proxy.address) as client:
        if ends_first == "client":
            client.shutdown(socket.SHUT_WR)
        else:
            assert client.recv(1) == b""
        before = time.monotonic()
        wait_until(lambda: bool(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), "a reset")
        assert time.monotonic() - before > 0.9
    backend.result()


def test_busy_half_closed_session_lives(serve: Serve, container: Container) -> None:
    """It has three times as long as its silence may last, and ends in order."""

    def drip(connection: socket.socket) -> None:
        assert connection.recv(1) == b""
        for _ in range(30):
            connection.sendall(b".")
            time.sleep(0.1)

    settings = {"FAIRLEAD_HALF_CLOSED_TIMEOUT": "1s"}
    proxy = serve(container(TcpBackend(drip)).address, settings=settings)
    with connect(proxy.address) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"." * 30


def test_open_session_may_be_silent(serve: Serve, container: Container) -> None:
    settings = {"FAIRLEAD_HALF_CLOSED_TIMEOUT": "1s", "FAIRLEAD_CONNECT_TIMEOUT": "1s"}
    proxy = serve(container(TcpBackend(echo)).address, settings=settings)
    with connect(proxy.address) as client:
        time.sleep(2.5)
        client.sendall(b"x")
        assert client.recv(1) == b"x"
