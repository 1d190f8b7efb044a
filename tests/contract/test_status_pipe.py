# SPDX-License-Identifier: Apache-2.0
"""Descriptor 3: how dockerd learns whether the port is served."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from backends import TcpBackend, echo, family_of
from clients import echoes
from conftest import Container, Launch, Serve, original_fails
from proxy import SILENT, flags, wait_until

TARGET = ("127.0.0.1", 9)
closes_its_listener = original_fails(
    "without a pipe at 3 it closes its own listener (moby#39933)"
)


@pytest.fixture
def service(container: Container) -> tuple[str, int]:
    return container(TcpBackend(echo)).address


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_success_is_zero_and_then_the_end(serve: Serve, proto: str, host: str) -> None:
    proxy = serve(TARGET, host, proto)
    assert proxy.is_alive()
    assert proxy.status_pipe not in proxy.descriptors().values()


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_busy_port(
    launch: Launch, new_port: Callable[[], int], proto: str, host: str
) -> None:
    kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family_of(host), kind) as holder:
        holder.bind((host, new_port()))
        if proto == "tcp":
            holder.listen()
        port = holder.getsockname()[1]
        proxy = launch(*flags(proto, host, port, *TARGET))
        status = proxy.read_status().decode()
        assert proxy.wait() == 1
    assert status.startswith("1\n")
    message = status[2:]
    assert "address already in use" in message
    assert f"{host}:{port}" in message or f"[{host}]:{port}" in message
    assert "\n" not in message


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_address_of_no_interface(
    launch: Launch, new_port: Callable[[], int], proto: str, host: str
) -> None:
    proxy = launch(*flags(proto, host, new_port(), *TARGET))
    status = proxy.read_status().decode()
    assert proxy.wait() == 1
    assert status.startswith("1\n")
    message = status[2:]
    assert "cannot assign requested address" in message
    assert host in message
    assert "\n" not in message


def wait_for_listener(address: tuple[str, int]) -> None:
    """By hand nothing tells when the port is served."""

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(address) == 0

    wait_until(listens, f"a listener at {address}", 3)


@closes_its_listener
def test_by_hand_without_descriptor_3(
    launch: Launch, new_port: Callable[[], int], service: tuple[str, int]
) -> None:
    address = ("127.0.0.1", new_port())
    launch(*flags("tcp", *address, *service), status=SILENT)
    wait_for_listener(address)
    assert echoes(address)


def test_descriptor_3_is_a_file(
    launch: Launch, new_port: Callable[[], int], service: tuple[str, int], tmp_path: Path
) -> None:
    address = ("127.0.0.1", new_port())
    with open(tmp_path / "notes", "wb") as notes:
        launch(*flags("tcp", *address, *service), status=notes.fileno())
        wait_for_listener(address)
    assert echoes(address)


@original_fails("it keeps the reason to itself")
def test_by_hand_a_failure_is_told_on_stderr(launch: Launch, new_port: Callable[[], int]) -> None:
    proxy = launch(*flags("tcp", "192.0.2.1", new_port(), *TARGET), status=SILENT)
    assert proxy.wait() == 1
    assert "cannot assign requested address" in proxy.errors()
    assert proxy.errors().count("\n") == 1


@original_fails("it writes to whatever descriptor 3 is")
def test_a_file_at_descriptor_3_is_left_alone(
    launch: Launch, new_port: Callable[[], int], service: tuple[str, int], tmp_path: Path
) -> None:
    address = ("127.0.0.1", new_port())
    with open(tmp_path / "notes", "wb") as notes:
        launch(*flags("tcp", *address, *service), status=notes.fileno())
        wait_for_listener(address)
    assert echoes(address)
    assert (tmp_path / "notes").read_bytes() == b""


@original_fails("it writes to whatever descriptor 3 is")
def test_a_socket_at_descriptor_3_is_left_alone(
    launch: Launch, new_port: Callable[[], int], service: tuple[str, int]
) -> None:
    address = ("127.0.0.1", new_port())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        launch(*flags("tcp", *address, *service), status=theirs.fileno())
        theirs.close()
        wait_for_listener(address)
        assert echoes(address)
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)


def test_a_pipe_to_read_from_is_left_alone(
    launch: Launch, new_port: Callable[[], int], service: tuple[str, int]
) -> None:
    """As that of make's job server."""
    address = ("127.0.0.1", new_port())
    reader, writer = os.pipe()
    try:
        launch(*flags("tcp", *address, *service), status=reader)
        wait_for_listener(address)
        assert echoes(address)
    finally:
        os.close(reader)
        os.close(writer)


@original_fails("it serves on, though nobody is left to stop it")
def test_ends_when_the_reader_has_gone(launch: Launch, new_port: Callable[[], int]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    proxy = launch(*flags("tcp", "127.0.0.1", new_port(), *TARGET), status=writer)
    os.close(writer)
    wait_until(lambda: not proxy.is_alive(), "the end of the proxy", 3)
    assert proxy.process.returncode == 0
