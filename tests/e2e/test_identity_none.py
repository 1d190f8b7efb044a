# SPDX-License-Identifier: Apache-2.0
"""none: what passes is what was sent."""

import socket
import sys
import threading
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, read_all
from lab.site import Site, SiteDaemon
from lab.wait import wait_until

pytest_plugins = ["lab.site_fixtures"]
pytestmark = pytest.mark.timeout(120)


def send_all(session: socket.socket, data: bytes) -> None:
    session.sendall(data)
    session.shutdown(socket.SHUT_WR)


def test_none_is_transparent_both_ways(site: Site, site_daemon: SiteDaemon) -> None:
    """At the same time, other bytes in each direction, up to its end: nothing more and no less."""
    site_daemon.publish("8080:80", "none")
    asked, answered = Random(1).randbytes(6_000_000), Random(2).randbytes(5_000_000)
    came: list[bytes] = []

    def serve(session: socket.socket) -> None:
        sender = threading.Thread(target=send_all, args=(session, answered), daemon=True)
        sender.start()
        came.append(read_all(session))
        sender.join(20)

    with TcpBackend(site.box.net, 80, serve), site.connect(8080) as client:
        sender = threading.Thread(target=send_all, args=(client, asked), daemon=True)
        sender.start()
        got = read_all(client)
        sender.join(20)
    assert got == answered
    wait_until(lambda: came, "the container to have read to the end")
    assert came == [asked]
