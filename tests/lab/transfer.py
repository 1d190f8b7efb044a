# SPDX-License-Identifier: Apache-2.0
"""Bytes both ways at the same time, which have to come as they were sent."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

from .backend import TcpBackend, read_all
from .wait import wait_until


def send_all(session: socket.socket, data: bytes) -> None:
    session.sendall(data)
    session.shutdown(socket.SHUT_WR)


def check_transfer(
    net: Path, port: int, connect: Callable[[], socket.socket], asked_bytes: int, answered_bytes: int
) -> None:
    """Between a client and a backend there, other bytes each way, up to the end: no more, no less."""
    asked, answered = Random(1).randbytes(asked_bytes), Random(2).randbytes(answered_bytes)
    came: list[bytes] = []

    def serve(session: socket.socket) -> None:
        sender = threading.Thread(target=send_all, args=(session, answered), daemon=True)
        sender.start()
        came.append(read_all(session))
        sender.join(20)

    with TcpBackend(net, port, serve), connect() as client:
        sender = threading.Thread(target=send_all, args=(client, asked), daemon=True)
        sender.start()
        got = read_all(client)
        sender.join(20)
    assert got == answered
    wait_until(lambda: came, "the container to have read to the end")
    assert came == [asked]
