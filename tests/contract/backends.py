# SPDX-License-Identifier: Apache-2.0
"""What acts as the container: threads of this process that listen on a loopback address."""

import queue
import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

PATIENCE_S = 20.0
SO_RCVBUFFORCE = 33

Handler = Callable[[socket.socket], Any]


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def reset(connection: socket.socket) -> None:
    """Closes with a reset in the place of an end (SO_LINGER, socket(7))."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_all(connection: socket.socket) -> bytes:
    """All up to the end; raises ConnectionResetError if it is none in order."""
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def read_exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        assert part, f"the end after {len(data)} of {count} bytes"
        data += part
    return data


def echo(connection: socket.socket) -> None:
    while part := connection.recv(1 << 16):
        connection.sendall(part)


def answer_after_end(connection: socket.socket) -> None:
    """Sends back what came, and only once the client has ended."""
    connection.sendall(read_all(connection))


class Backend:
    """A service with a thread of its own."""

    address: tuple[str, int]

    def close(self) -> None:
        raise NotImplementedError


class TcpBackend(Backend):
    """
    Gives each connection to `handle`, in a thread of its own. What that returns, or raises, is kept
    for `result`.
    """

    def __init__(self, handle: Handler, host: str = "127.0.0.1", port: int = 0, most: int = 0):
        """`most`: stops listening once it has accepted so many."""
        self.handle = handle
        self.most = most
        self.accepted = 0
        self._results: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((host, port), family=family_of(host), backlog=4096)
        self.address = (host, self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self.most or self.accepted < self.most:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            self.accepted += 1
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        result: tuple[Any, BaseException | None]
        connection.settimeout(PATIENCE_S)
        try:
            result = (self.handle(connection), None)
        except BaseException as error:  # whoever asks for the result gets it, pytest's own too
            result = (None, error)
        with self._lock:
            self._open.discard(connection)
        connection.close()
        self._results.put(result)

    def result(self) -> Any:
        """What the handler of the connection that ended first has returned or raised."""
        value, error = self._results.get(timeout=PATIENCE_S)
        if error:
            raise error
        return value

    def close(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
        except OSError:  # it has been closed
            pass
        self._thread.join(PATIENCE_S)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # the client has gone
                    continue


Answer = Callable[[bytes, tuple[str, int]], bytes | None]


def mirror(data: bytes, _sender: tuple[str, int]) -> bytes:
    return data


def silent(_data: bytes, _sender: tuple[str, int]) -> None:
    return None


class UdpBackend(Backend):
    """Gives each datagram to `answer`, sends back what that returns, and keeps what it has seen."""

    def __init__(self, answer: Answer, host: str = "127.0.0.1", port: int = 0):
        self.answer = answer
        self.seen: list[tuple[bytes, tuple[str, int]]] = []
        self._socket = socket.socket(family_of(host), socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self._socket.bind((host, port))
        self._socket.settimeout(0.05)
        self.address = (host, self._socket.getsockname()[1])
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing:
            try:
                data, sender = self._socket.recvfrom(65536)
            except OSError:  # nothing for a moment, or the news that a client has gone
                continue
            self.seen.append((data, sender[:2]))
            answer = self.answer(data, sender[:2])
            if answer is not None:
                self._socket.sendto(answer, sender)

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        self._socket.sendto(data, address)

    @property
    def sources(self) -> list[int]:
        """The ports that the datagrams so far came from, in order."""
        return [sender[1] for _, sender in self.seen]

    def close(self) -> None:
        self._closing = True
        self._thread.join(PATIENCE_S)
        self._socket.close()


class EchoLoop(Backend):
    """Echoes on any number of connections from one thread, which a thread for each could not."""

    def __init__(self) -> None:
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.address = self._listener.getsockname()
        self._ours, self._wake = socket.socketpair()
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._poll.register(self._wake, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._wake.fileno():
                    return
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._echo(self._connections[fd])

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                self._connections[connection.fileno()] = connection
                self._poll.register(connection, select.EPOLLIN)
        except BlockingIOError:
            return

    def _echo(self, connection: socket.socket) -> None:
        """What comes is short, so that it always fits into the send buffer."""
        try:
            data = connection.recv(65536)
            connection.sendall(data)
        except ConnectionError:
            data = b""
        if not data:
            del self._connections[connection.fileno()]
            connection.close()

    def close(self) -> None:
        self._ours.close()
        self._thread.join(PATIENCE_S)
        self._poll.close()
        for it in [self._wake, self._listener, *self._connections.values()]:
            it.close()
