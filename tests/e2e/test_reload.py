# SPDX-License-Identifier: Apache-2.0
"""Changing the rules of a daemon with 2,000 of them, while clients are at work on many."""

import hashlib
import random
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.daemon import Daemon
from lab.netns import HOST_IP6, Network
from lab.wait import wait_until

pytestmark = pytest.mark.timeout(180)

FIRST = 20000
RULES = 2000
CHANGED = 500
STREAMS = 4
CLIENTS = 4


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


def rule(port: int) -> dict:
    """Every second port is UDP's."""
    protocol = "tcp" if port % 2 == 0 else "udp"
    container = 80 if protocol == "tcp" else 53
    host = f"[::]:{port}"
    return {"protocol": protocol, "host": host, "container": f"127.0.0.1:{container}"}


BEFORE = [rule(port) for port in range(FIRST, FIRST + RULES)]
# The first are gone, and as many new ones are behind.
AFTER = [rule(port) for port in range(FIRST + CHANGED, FIRST + CHANGED + RULES)]
KEPT = range(FIRST + CHANGED, FIRST + RULES)


class Stream(threading.Thread):
    """Sends without end to an echo, and holds what comes back against what was sent."""

    def __init__(self, session: socket.socket) -> None:
        super().__init__()
        self.session = session
        self.ending = threading.Event()
        self.sent, self.received = hashlib.sha256(), hashlib.sha256()
        self.bytes = 0
        self.error: Exception | None = None

    def run(self) -> None:
        reader = threading.Thread(target=self._read)
        reader.start()
        source = random.Random(self.bytes)
        try:
            while not self.ending.is_set():
                data = source.randbytes(16384)
                self.sent.update(data)
                self.session.sendall(data)
            self.session.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error
        reader.join()

    def _read(self) -> None:
        try:
            while data := self.session.recv(65536):
                self.received.update(data)
                self.bytes += len(data)
        except OSError as error:
            self.error = error

    def end(self) -> None:
        self.ending.set()
        self.join()
        self.session.close()


class Visitor(threading.Thread):
    """Connects to one kept port after the other, and asks."""

    def __init__(self, network: Network, number: int) -> None:
        super().__init__()
        self.network = network
        self.random = random.Random(number)
        self.ending = threading.Event()
        self.visits = 0
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.ending.is_set():
            port = self.random.choice(KEPT)
            kind = socket.SOCK_STREAM if port % 2 == 0 else socket.SOCK_DGRAM
            try:
                with self.network.client.connect(HOST_IP6, port, kind) as session:
                    if exchange(session, b"question") != b"question":
                        self.failures.append(f"{port} was cut off")
            except OSError as error:
                self.failures.append(f"{port}: {error!r}")
            self.visits += 1

    def end(self) -> None:
        self.ending.set()
        self.join()


def answers(network: Network, port: int) -> bool:
    try:
        with network.client.connect(HOST_IP6, port) as session:
            return exchange(session, b"question") == b"question"
    except ConnectionRefusedError:
        return False


def test_reload_changes_what_differs_and_nothing_else(network: Network, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, rules=BEFORE, enter=network.host.enter)
    threads: list[Stream | Visitor] = []
    try:
        with TcpBackend(network.host.net, 80), UdpBackend(network.host.net, 53):
            streams = [Stream(network.client.connect(HOST_IP6, KEPT[2 * i])) for i in range(STREAMS)]
            visitors = [Visitor(network, number) for number in range(CLIENTS)]
            threads = [*streams, *visitors]
            for thread in threads:
                thread.start()
            wait_until(lambda: all(stream.bytes > 1_000_000 for stream in streams), "bytes flow")
            wait_until(lambda: all(visitor.visits > 50 for visitor in visitors), "clients ask")

            daemon.write_rules(AFTER)
            done = daemon.request("POST", "/v1/reload")
            assert done == {
                "added": CHANGED,
                "removed": CHANGED,
                "changed": 0,
                "kept": RULES - CHANGED,
                "needs_restart": False,
            }
            daemon.write_rules(BEFORE)
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: answers(network, FIRST), "the first is back")

            # One that is not good changes nothing, and nobody notices.
            daemon.write_rules([*AFTER, {"publish": "http", "container": "127.0.0.1"}])
            status, said = daemon.call("POST", "/v1/reload")
            assert status == 400 and "fairlead.json" in said
            assert answers(network, FIRST) and not answers(network, FIRST + RULES)

            # Nor does one that cannot be carried out: somebody else has one of the new ports.
            daemon.write_rules(AFTER)
            with network.host.open_socket(socket.AF_INET6, socket.SOCK_STREAM) as other:
                other.bind(("::", FIRST + RULES + 100))
                other.listen()
                status, said = daemon.call("POST", "/v1/reload")
            assert status == 409 and f"[::]:{FIRST + RULES + 100}" in said
            assert answers(network, FIRST) and not answers(network, FIRST + RULES)

            for thread in threads:
                thread.end()
            assert [visitor.failures for visitor in visitors] == [[]] * CLIENTS
            for stream in streams:
                assert stream.error is None
                assert stream.received.digest() == stream.sent.digest()
    finally:
        for thread in threads:
            thread.ending.set()
        daemon.kill()


def test_a_withdrawn_rule_resets_its_sessions(network: Network, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, rules=BEFORE[:2], enter=network.host.enter)
    try:
        with TcpBackend(network.host.net, 80):
            with network.client.connect(HOST_IP6, FIRST) as session:
                assert exchange(session, b"question") == b"question"
                daemon.write_rules(BEFORE[1:2])
                daemon.request("POST", "/v1/reload")
                with pytest.raises(ConnectionResetError):
                    session.recv(1)
    finally:
        daemon.kill()
