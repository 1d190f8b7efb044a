# SPDX-License-Identifier: Apache-2.0
"""TCP: many connections, one after the other and at once, and more than there are descriptors."""

import resource
import select
import socket
import time

import pytest

from backends import EchoLoop, read_exactly
from clients import connect
from conftest import Container, Serve, original_fails
from proxy import PATIENCE_S, Program

ONE_AFTER_THE_OTHER = 15000
AT_ONCE = 4000
AT_ONCE_IN_THE_ORIGINAL = 2500  # it has up to six descriptors for each, and no more than 20,000
FEW_DESCRIPTORS = 64
MORE_CLIENTS = 100


def test_one_after_the_other(serve: Serve, container: Container) -> None:
    """As many as a health check makes in a few hours."""
    backend = container(EchoLoop())
    proxy = serve(backend.address)
    for number in range(ONE_AFTER_THE_OTHER):
        with connect(proxy.address) as client:
            client.sendall(b"%05d" % number)
            assert read_exactly(client, 5) == b"%05d" % number
    assert backend.accepted == ONE_AFTER_THE_OTHER


def test_at_once(serve: Serve, container: Container, program: Program) -> None:
    count = AT_ONCE if program.is_ours else AT_ONCE_IN_THE_ORIGINAL
    needed = 2 * count + 100
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < needed:
        pytest.skip(f"RLIMIT_NOFILE is below the {needed} descriptors of clients and backend")
    backend = container(EchoLoop())
    proxy = serve(backend.address)
    clients = [connect(proxy.address) for _ in range(count)]
    try:
        for turn in (b"first", b"again"):
            for number, client in enumerate(clients):
                client.sendall(b"%s %05d" % (turn, number))
            for number, client in enumerate(clients):
                assert read_exactly(client, 11) == b"%s %05d" % (turn, number)
        assert backend.accepted == count
    finally:
        for client in clients:
            client.close()


@original_fails("it exits when it has no descriptor left (moby#6402)")
def test_more_clients_than_descriptors(serve: Serve, container: Container) -> None:
    """Those beyond wait, and are served as others leave."""
    backend = container(EchoLoop())
    proxy = serve(backend.address, limits=(FEW_DESCRIPTORS, FEW_DESCRIPTORS))
    waiting = {}
    for number in range(MORE_CLIENTS):
        client = connect(proxy.address)
        client.sendall(b"%03d" % number)
        waiting[client] = b"%03d" % number
    most_at_once = len(answered(waiting, 1.0))
    assert 0 < most_at_once < MORE_CLIENTS, "as if there were no limit"
    before_s = proxy.cpu_s()
    time.sleep(1.0)
    assert proxy.cpu_s() - before_s < 0.3, "it is busy waiting"
    while waiting:
        assert proxy.is_alive()
        ready = answered(waiting, PATIENCE_S)
        assert ready, f"{len(waiting)} clients are not served"
        for client in ready:
            assert read_exactly(client, 3) == waiting.pop(client)
            client.close()


def answered(clients: dict[socket.socket, bytes], patience_s: float) -> list[socket.socket]:
    """Those that have an answer, once there is one and no more come for a moment."""
    ready: list[socket.socket] = []
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        now = select.select(list(clients), [], [], max(0.0, end - time.monotonic()))[0]
        if ready and len(now) == len(ready):
            break
        ready = now
        time.sleep(0.2)
    return ready
