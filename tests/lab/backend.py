# SPDX-License-Identifier: Apache-2.0
"""What a container listens with, where a test has to see each connection and datagram of it.

These run in the test's own process, with sockets of the container's network namespace: to a proxy
and an engine there is no difference.
"""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

from .netns import open_socket_in

# How often a backend looks whether it is to end.
TURN_S = 0.1
BUFFER = 65536

Handler = Callable[[socket.socket], None]


def echo(session: socket.socket) -> None:
    """Until the client ends its side."""
    while data := session.recv(BUFFER):
        session.sendall(data)


def tell_peer(session: socket.socket) -> None:
    """Answers with the address that the connection comes from, and ends."""
    session.sendall("{} {}\n".format(*session.getpeername()).encode())


class _Backend:
    """A bound socket and a thread that serves it until the end of a `with`."""

    def __init__(self, net: Path, port: int, kind: int) -> None:
        self.socket = open_socket_in(net, socket.AF_INET, kind)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("0.0.0.0", port))
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(TURN_S)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while not self.ending.is_set():
            try:
                self._take_one()
            except TimeoutError:
                continue
            except OSError:  # closed, by itself: it takes no more
                return

    def _take_one(self) -> None:
        raise NotImplementedError

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        self.thread.join(timeout=10)
        self.socket.close()


class TcpBackend(_Backend):
    """Hands each connection to a handler, and knows the address of each client."""

    def __init__(
        self, net: Path, port: int, handler: Handler = echo, only_one: bool = False
    ) -> None:
        super().__init__(net, port, socket.SOCK_STREAM)
        self.handler = handler
        self.only_one = only_one
        self.clients: list[str] = []
        self.socket.listen(1024)

    def _take_one(self) -> None:
        session, (address, _) = self.socket.accept()
        self.clients.append(address)
        if self.only_one:
            self.socket.close()
        threading.Thread(target=self._handle, args=[session], daemon=True).start()

    def _handle(self, session: socket.socket) -> None:
        session.settimeout(60)
        with session:
            try:
                self.handler(session)
            except OSError:  # the client has ended it: what of that is right, the client sees
                pass


class UdpBackend(_Backend):
    """Sends each datagram back to where it came from, and knows the address of each client."""

    def __init__(self, net: Path, port: int) -> None:
        super().__init__(net, port, socket.SOCK_DGRAM)
        self.clients: list[str] = []

    def _take_one(self) -> None:
        data, client = self.socket.recvfrom(BUFFER)
        self.clients.append(client[0])
        self.socket.sendto(data, client)


def exchange(session: socket.socket, data: bytes) -> bytes:
    """Sends data to a backend that echoes it, and gives what comes back, which is as long."""
    session.sendall(data)
    if session.type == socket.SOCK_DGRAM:
        return session.recv(BUFFER)
    answer = b""
    while len(answer) < len(data) and (piece := session.recv(BUFFER)):
        answer += piece
    return answer


def read_all(session: socket.socket) -> bytes:
    """Until the other side ends."""
    parts = []
    while part := session.recv(BUFFER):
        parts.append(part)
    return b"".join(parts)


def read_until(session: socket.socket, end: bytes) -> bytes:
    """What comes up to these bytes, which are the last of it; less if the other side ends."""
    data = b""
    while not data.endswith(end) and (part := session.recv(1000)):
        data += part
    return data
