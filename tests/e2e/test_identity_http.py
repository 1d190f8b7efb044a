# SPDX-License-Identifier: Apache-2.0
"""http: every request says who asks, and the framing of what passes is beyond doubt."""

import asyncio
import contextlib
import re
import socket
import sys
import threading
from pathlib import Path

import pytest

try:
    import websockets
except ImportError:
    websockets = None

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import Handler, TcpBackend, read_all
from lab.netns import CLIENT_IP6
from lab.site import Site, SiteDaemon
from lab.wait import wait_until

pytest_plugins = ["lab.site_fixtures"]
pytestmark = pytest.mark.timeout(120)


def serve_http(seen: list[bytes]) -> Handler:
    """Answers each request of one connection with its number; keeps heads and bodies."""

    def handle(session: socket.socket) -> None:
        lines = session.makefile("rb")
        number = 0
        while line := lines.readline():
            head = [line]
            while (line := lines.readline()) != b"\r\n":
                head.append(line)
            text = b"".join(head)
            length = re.search(rb"(?i)^content-length: (\d+)\r$", text, re.M)
            body = lines.read(int(length[1])) if length else b""
            seen.append(text + b"\r\n" + body)
            answer = str(number).encode()
            session.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
            number += 1

    return handle


def test_ten_thousand_requests_of_one_connection(site: Site, site_daemon: SiteDaemon) -> None:
    count = 10000
    site_daemon.publish("8080:80", "http")
    seen: list[bytes] = []
    asked = []
    for i in range(count):
        if i % 3 == 0:
            asked.append((b"GET /%d HTTP/1.1\r\nHost: a\r\n" % i, b""))
        else:
            body = b"GET / HTTP/1.1\r\n\r\n" * (i % 7) + b"x" * (i % 50 * 100)
            asked.append((b"POST /%d HTTP/1.1\r\nHost: a\r\n" % i, body))

    def ask(client: socket.socket) -> None:
        for head, body in asked:
            length = b"Content-Length: %d\r\n" % len(body) if body else b""
            client.sendall(head + length + b"X-Forwarded-For: 6.6.6.6\r\n\r\n" + body)
        client.shutdown(socket.SHUT_WR)

    with TcpBackend(site.box.net, 80, serve_http(seen)), site.connect(8080) as client:
        own = client.getsockname()[1]
        asking = threading.Thread(target=ask, args=[client], daemon=True)
        asking.start()
        answers = read_all(client)
        asking.join(30)
    ours = (
        f"X-Forwarded-For: {CLIENT_IP6}\r\nX-Real-IP: {CLIENT_IP6}\r\n"
        f'Forwarded: for="[{CLIENT_IP6}]:{own}"\r\n\r\n'
    ).encode()
    expected = [
        head + (b"Content-Length: %d\r\n" % len(body) if body else b"") + ours + body
        for head, body in asked
    ]
    assert seen == expected
    assert answers == b"".join(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(i)), i) for i in range(count)
    )


UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("asked", [UPGRADE + GET, GET + b"rubbish\r\n\r\n"], ids=["upgrade", "bad"])
def test_a_container_that_ends_without_an_answer(
    site: Site, site_daemon: SiteDaemon, asked: bytes
) -> None:
    """What the rest of the request waits for does not come any more, and no error tells of it."""
    site_daemon.publish("8080:80", "http")

    def end(session: socket.socket) -> None:
        session.recv(5000)
        session.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            session.recv(1)

    with TcpBackend(site.box.net, 80, end), site.connect(8080) as client:
        client.sendall(asked)
        assert client.recv(1) == b""
        wait_until(lambda: site_daemon.get("/v1/sessions")["sessions"] == [], "its end", 10)


async def talk(listener: socket.socket, session: socket.socket) -> list:
    """A WebSocket client and server: messages of many sizes both ways, a ping, an end in order. The
    fields of the request, as the server has them.
    """
    seen = []

    async def serve(peer: "websockets.WebSocketServerProtocol", path: str) -> None:
        seen.append(peer.request_headers)
        async for message in peer:
            await peer.send(message)

    messages = ["hello", "\u00fc" * 1000, b"", bytes(range(256)) * 4000, "x" * 1_000_000]
    async with websockets.serve(serve, sock=listener):
        async with websockets.connect("ws://site.test/chat", sock=session) as client:
            for message in messages * 3:
                await client.send(message)
                assert await client.recv() == message
            for message in messages:
                await client.send(message)
            assert [await client.recv() for _ in messages] == messages
            await asyncio.wait_for(await client.ping(), 10)
        assert client.close_code == 1000
    return seen


@pytest.mark.skipif(websockets is None, reason="not installed: python3-websockets")
def test_websocket(site: Site, site_daemon: SiteDaemon) -> None:
    site_daemon.publish("8080:80", "http")
    with site.box.open_socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        with site.connect(8080) as session:
            for each in (listener, session):
                each.setblocking(False)
            (seen,) = asyncio.run(asyncio.wait_for(talk(listener, session), 60))
    assert seen["X-Forwarded-For"] == CLIENT_IP6
    assert seen["Upgrade"] == "websocket"
