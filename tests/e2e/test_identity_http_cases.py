# SPDX-License-Identifier: Apache-2.0
"""http: requests that other programs are tested with, and those that are used to smuggle requests.

http_cases/*.cases has them, in blocks:

	== NAME: passes N[, refused]
	the bytes, as text; \\r \\n \\t \\\\ \\xHH stand for one byte, \\{N*TEXT} for N times the text,
	and the end of a line of the file for nothing

N requests pass, each of them named once, and what comes behind them is refused or not. What passes
is read by two parsers that are not ours. Where both go on, they must read the same; either may
refuse what it does not like, as a header field that is too long for it.
"""

import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

try:
    import h11
    from gunicorn.config import Config
    from gunicorn.http.parser import RequestParser
except ImportError:
    h11 = None

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, read_all
from lab.netns import CLIENT_IP6
from lab.site import Site, SiteDaemon
from lab.wait import wait_until

pytest_plugins = ["lab.site_fixtures"]
pytestmark = pytest.mark.timeout(60)

CASES = Path(__file__).resolve().parent / "http_cases"
OURS = f"\r\nX-Forwarded-For: {CLIENT_IP6}\r\n".encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
# To CONNECT, which has no length (RFC 9110 section 9.3.6).
TUNNEL = b"HTTP/1.1 200 OK\r\n\r\n"
ESCAPE = re.compile(r"\\(?:([rnt\\])|x([0-9a-f]{2})|\{(\d+)\*((?:[^}\\]|\\.)*)\})")
SIMPLE = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}


@dataclass(frozen=True)
class Case:
    name: str
    passes: int
    refused: bool
    data: bytes


def unescape(text: str) -> str:
    def put(match: re.Match) -> str:
        simple, digits, times, repeated = match.groups()
        if simple:
            return SIMPLE[simple]
        return chr(int(digits, 16)) if digits else unescape(repeated) * int(times)

    return ESCAPE.sub(put, text)


def read_cases(path: Path) -> Iterator[Case]:
    for block in re.split(r"(?m)^== ", path.read_text(encoding="ascii"))[1:]:
        head, _, body = block.partition("\n")
        match = re.fullmatch(r"(\S+): passes (\d+)(, refused)?", head)
        assert match, head
        text = body.rstrip("\n").replace("\n", "")
        name = f"{path.stem}/{match[1]}"
        yield Case(name, int(match[2]), bool(match[3]), unescape(text).encode("latin-1"))


ALL = [case for path in sorted(CASES.glob("*.cases")) for case in read_cases(path)]


class Answering:
    """A server that answers each request, of which it knows by the field that we add."""

    def __init__(self) -> None:
        self.came: list[bytes] = []

    def __call__(self, session: socket.socket) -> None:
        data, answered = b"", 0
        try:
            while part := session.recv(65536):
                data += part
                count = data.count(OURS) - answered
                session.sendall((TUNNEL if data.startswith(b"CONNECT") else ANSWER) * count)
                answered += count
        finally:
            self.came.append(data)


@dataclass
class Passing:
    site: Site
    server: Answering

    def send(self, data: bytes) -> tuple[bytes, bytes]:
        """What the client gets, and what the server has got."""
        self.server.came.clear()
        with self.site.connect(8080) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            answers = read_all(client)
        return answers, wait_until(lambda: self.server.came, "the server's connection to end")[0]


@pytest.fixture(scope="module")
def passing(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Passing]:
    daemon = SiteDaemon(site, tmp_path_factory.mktemp("daemon"))
    server = Answering()
    try:
        daemon.publish("8080:80", "http")
        with TcpBackend(site.box.net, 80, server):
            yield Passing(site, server)
    finally:
        daemon.stop()


# Method, target and body of each request; no body where it is not all there, or is refused.
Reading = list[tuple[bytes, bytes, bytes | None]]


def read_with_h11(data: bytes) -> Reading:
    found: Reading = []
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
    server.receive_data(data)
    server.receive_data(b"")
    try:
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                found.append((event.method, event.target, None))
                body = b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found[-1] = (*found[-1][:2], body)
                # a tunnel has no length (RFC 9110 section 9.3.6)
                length = [] if found[-1][0] == b"CONNECT" else [("Content-Length", "0")]
                server.send(h11.Response(status_code=200, headers=length))
                if server.our_state is h11.SWITCHED_PROTOCOL:
                    return found  # a tunnel, to which CONNECT has led
                server.send(h11.EndOfMessage())
                if server.our_state is not h11.DONE or server.their_state is not h11.DONE:
                    return found
                server.start_next_cycle()
            else:
                return found
    except h11.RemoteProtocolError:
        return found


def read_with_gunicorn(data: bytes) -> Reading:
    found: Reading = []
    requests = RequestParser(Config(), [data], ("", 0))
    try:
        for request in requests:
            method, target = request.method.encode("latin-1"), request.uri.encode("latin-1")
            found.append((method, target, None))
            found[-1] = (method, target, request.body.read())
    except Exception:  # noqa: BLE001 - it has some for each thing that it does not like
        pass
    return found


def heads(data: bytes) -> list[bytes]:
    """The head of each request, as the field in it tells where they are."""
    pieces = data.split(OURS)
    begins = [piece.rpartition(b"\r\n\r\n")[2] for piece in pieces[:-1]]
    ends = [piece.partition(b"\r\n\r\n")[0] for piece in pieces[1:]]
    return [begin + OURS + end for begin, end in zip(begins, ends, strict=True)]


@pytest.mark.skipif(h11 is None, reason="not installed: python3-h11 and python3-gunicorn")
@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_what_passes_is_framed_alike_by_others(passing: Passing, case: Case) -> None:
    answers, passed = passing.send(case.data)
    refusal = answers.removeprefix(TUNNEL).removeprefix(ANSWER * case.passes)
    assert (passed.count(OURS), bool(refusal)) == (case.passes, case.refused)
    assert re.match(rb"HTTP/1\.1 (400|431|501|505) ", refusal) or not case.refused
    for head in heads(passed):
        assert len(re.findall(rb"(?i)\nx[-_]forwarded[-_]for:", head)) == 1
    one, other = read_with_h11(passed), read_with_gunicorn(passed)
    assert max(len(one), len(other)) <= case.passes
    for mine, theirs in zip(one, other):
        assert mine[:2] == theirs[:2]
        assert None in (mine[2], theirs[2]) or mine[2] == theirs[2]


def test_cases_are_those_that_were_written_down() -> None:
    assert len(ALL) > 250
    assert len({case.name for case in ALL}) == len(ALL)
    assert sum(case.refused for case in ALL) > 100
