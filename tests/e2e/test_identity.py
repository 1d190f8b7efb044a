# SPDX-License-Identifier: Apache-2.0
"""Who is calling: what a container, an operator and other programs see of clients.

The container is a box behind the host, with IPv4 only, and its default route leads to the host.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import Handler, TcpBackend, UdpBackend, exchange
from lab.daemon import FAIRLEADD, ApiError, Daemon
from lab.netns import CLIENT_IP6, HOST_IP6, Namespace, Network, open_socket_in
from lab.wait import wait_until

pytestmark = pytest.mark.timeout(120)

FAIRLEAD = FAIRLEADD.parent / "fairlead"
BOX = "172.31.0.2"
GATEWAY = "172.31.0.1"


class Lab(Network):
    """Client, host and box."""

    def __init__(self) -> None:
        self.box = Namespace()
        super().__init__()

    def _link(self) -> None:
        super()._link()
        host, box = str(self.host.holder.pid), str(self.box.holder.pid)
        words = ["ip", "link", "add", "eth0", "netns", box, "type", "veth", "peer", "name", "box0"]
        subprocess.run([*words, "netns", host], check=True)
        for place, link, address in (
            (self.host, "box0", f"{GATEWAY}/24"),
            (self.box, "eth0", f"{BOX}/24"),
        ):
            place.run("ip", "link", "set", link, "up")
            place.run("ip", "address", "add", address, "dev", link)
        self.box.run("ip", "route", "add", "default", "via", GATEWAY)

    def close(self) -> None:
        super().close()
        self.box.close()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab()
    made.client.run("ip", "address", "add", f"{other_client(made)}/64", "dev", "eth0", "nodad")
    yield made
    made.close()


def other_client(lab: Lab) -> str:
    """A neighbour of the client's, on the same link."""
    return CLIENT_IP6.rpartition(":")[0] + ":77"


def store_of(folder: Path) -> dict:
    return {"pseudo_store": str(folder / "pseudo.db")}


@pytest.fixture
def daemon(lab: Lab, tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, enter=lab.host.enter, daemon=store_of(tmp_path))
    yield made
    made.stop()


def publish(daemon: Daemon, port: str, identity: str, **more: str) -> None:
    rule = {"publish": port, "container": BOX, "identity": identity, **more}
    daemon.request("POST", "/v1/rules", rule)


def tell_peer(session: socket.socket) -> None:
    """Answers with the address that the connection comes from."""
    session.sendall("{} {}\n".format(*session.getpeername()).encode())


def connect(lab: Lab, port: int, source: str = CLIENT_IP6) -> socket.socket:
    made = lab.client.open_socket(socket.AF_INET6, socket.SOCK_STREAM)
    made.settimeout(10)
    made.bind((source, 0))
    made.connect((HOST_IP6, port))
    return made


def read_all(session: socket.socket) -> bytes:
    parts = []
    while part := session.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_until(session: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += session.recv(1000)
    return data


def seen_by(lab: Lab, port: int, source: str) -> tuple[str, int, int]:
    """Address and port that the container sees, and the client's own port."""
    with connect(lab, port, source) as session:
        own = session.getsockname()[1]
        ip, number = read_all(session).decode().split()
    return ip, int(number), own


def fairlead(daemon: Daemon, *words: str) -> str:
    command = [*daemon.enter, FAIRLEAD, words[0], "--socket", daemon.socket, *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def test_each_client_has_an_address_of_its_own(lab: Lab, daemon: Daemon) -> None:
    publish(daemon, "8080:80", "pseudo-ipv4")
    with TcpBackend(lab.box.net, 80, tell_peer):
        first, number, own = seen_by(lab, 8080, CLIENT_IP6)
        second, _, _ = seen_by(lab, 8080, other_client(lab))
        again, _, _ = seen_by(lab, 8080, CLIENT_IP6)
    assert number == own
    assert first == again != second
    assert {int(ip.split(".")[0]) // 16 for ip in (first, second)} == {15}
    assert fairlead(daemon, "whois", "-q", first) == f"{CLIENT_IP6}\n"
    assert fairlead(daemon, "whois", "-q", other_client(lab)) == f"{second}\n"
    assert fairlead(daemon, "whois").count("\n") == 3
    answer = daemon.get(f"/v1/whois/{first}")
    assert (answer["client"], answer["current"]) == (CLIENT_IP6, True)


def test_udp_clients_have_them_too(lab: Lab, daemon: Daemon) -> None:
    publish(daemon, "5353:53/udp", "pseudo-ipv4")
    backend = open_socket_in(lab.box.net, socket.AF_INET, socket.SOCK_DGRAM)
    client = lab.client.open_socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with backend, client:
        backend.bind(("0.0.0.0", 53))
        for each in (backend, client):
            each.settimeout(10)
        client.bind((CLIENT_IP6, 0))
        client.sendto(b"question", (HOST_IP6, 5353))
        data, peer = backend.recvfrom(100)
        assert data == b"question"
        assert daemon.get(f"/v1/whois/{peer[0]}")["client"] == CLIENT_IP6
        # two fragments, of which the second has no port in it
        backend.sendto(b"a" * 2000, peer)
        assert client.recv(4000) == b"a" * 2000


def test_addresses_survive_a_kill(lab: Lab, daemon: Daemon) -> None:
    publish(daemon, "8080:80", "pseudo-ipv4")
    with TcpBackend(lab.box.net, 80, tell_peer):
        before = [seen_by(lab, 8080, ip)[0] for ip in (CLIENT_IP6, other_client(lab))]
        daemon.kill()
        daemon.start()
        after = [seen_by(lab, 8080, ip)[0] for ip in (other_client(lab), CLIENT_IP6)]
    assert before == after[::-1]
    routes = lab.host.run("ip", "-4", "route", "show", "table", "local", "proto", "70")
    assert routes.count("240.0.0.0/4") == 1


def test_route_and_guard_go_with_the_daemon(lab: Lab, daemon: Daemon) -> None:
    def left() -> str:
        routes = lab.host.run("ip", "-4", "route", "show", "table", "local", "proto", "70")
        return routes + lab.host.run("nft", "list", "tables")

    assert left() == ""
    publish(daemon, "8080:80", "pseudo-ipv4")
    assert "240.0.0.0/4" in left() and "fairlead" in left()
    assert daemon.stop() == 0
    assert left() == ""
    daemon.start()  # its rule is recorded


def test_pool_is_no_way_to_services_of_the_host(lab: Lab, daemon: Daemon) -> None:
    publish(daemon, "8080:80", "pseudo-ipv4")
    with TcpBackend(lab.host.net, 2222), UdpBackend(lab.host.net, 2223):
        with lab.box.open_socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            probe.connect((GATEWAY, 2222))
        for kind, port in ((socket.SOCK_STREAM, 2222), (socket.SOCK_DGRAM, 2223)):
            with lab.box.open_socket(socket.AF_INET, kind) as probe:
                probe.settimeout(1)
                with pytest.raises(OSError):
                    probe.connect(("240.1.2.3", port))
                    probe.send(b"hello")
                    probe.recv(10)


def test_full_pool_refuses_with_a_reason(lab: Lab, tmp_path: Path) -> None:
    settings = {**store_of(tmp_path), "pseudo_pool": "198.18.0.0/29"}
    daemon = Daemon(tmp_path, enter=lab.host.enter, daemon=settings)
    try:
        publish(daemon, "8080:80", "pseudo-ipv4")
        with TcpBackend(lab.box.net, 80):
            held = []
            for last in range(0x200, 0x206):
                ip = CLIENT_IP6.rpartition(":")[0] + f":{last:x}"
                lab.client.run("ip", "address", "add", f"{ip}/64", "dev", "eth0", "nodad")
                held.append(connect(lab, 8080, ip))
                assert exchange(held[-1], b"hello") == b"hello"
            with connect(lab, 8080, CLIENT_IP6) as refused, pytest.raises(ConnectionResetError):
                refused.recv(1)
            for session in held:
                assert exchange(session, b"still here") == b"still here"
                session.close()
        ended = daemon.get("/v1/stats")
        assert "pool-full" in json.dumps(ended)
    finally:
        daemon.stop()


def test_container_with_another_default_route_is_told(lab: Lab, daemon: Daemon) -> None:
    lab.box.run("ip", "route", "del", "default")
    try:
        with pytest.raises(ApiError, match="default route is not this host|cannot answer") as told:
            publish(daemon, "8080:80", "pseudo-ipv4")
        assert told.value.status == 409
        assert daemon.get("/v1/rules")["rules"] == []
    finally:
        lab.box.run("ip", "route", "add", "default", "via", GATEWAY)
    publish(daemon, "8080:80", "pseudo-ipv4")


def first_line(lab: Lab, daemon: Daemon, **rule: str) -> bytes:
    """What a container gets before the client's own words."""
    publish(daemon, "8080:80", **rule)
    with TcpBackend(lab.box.net, 80), connect(lab, 8080) as client:
        client.sendall(b"hello")
        return read_until(client, b"hello")


def test_proxy_v1_comes_first(lab: Lab, daemon: Daemon) -> None:
    said = first_line(lab, daemon, identity="proxy-v1")
    expected = rf"PROXY TCP6 {CLIENT_IP6} {HOST_IP6} \d+ 8080\r\nhello".encode()
    assert re.fullmatch(expected, said)


def test_client_that_another_proxy_names_is_the_client(lab: Lab, daemon: Daemon) -> None:
    trusted = f"{CLIENT_IP6},{other_client(lab)}"
    publish(daemon, "8080:80", "proxy-v1", accept_proxy_from=trusted)
    with TcpBackend(lab.box.net, 80), connect(lab, 8080, CLIENT_IP6) as session:
        named = b"PROXY TCP6 2001:db8:ffff::1 2001:db8:ffff::2 4711 25\r\n"
        session.sendall(named + b"hello")
        assert read_until(session, b"hello") == named + b"hello"
        (shown,) = daemon.get("/v1/sessions")["sessions"]
        assert shown["client"] == "[2001:db8:ffff::1]:4711"
        assert shown["announcer"].startswith(f"[{CLIENT_IP6}]:")
    with connect(lab, 8080, CLIENT_IP6) as session, pytest.raises(ConnectionResetError):
        session.sendall(b"no header")
        session.recv(1)


HAPROXY = """
global
    maxconn 100
defaults
    timeout connect 5s
    timeout client 5s
    timeout server 5s
"""


@contextmanager
def haproxy(place: Namespace, folder: Path, port: int, sections: str) -> Iterator[None]:
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY + sections)
    process = subprocess.Popen([*place.enter, "haproxy", "-q", "-db", "-f", config])
    try:
        wait_until(lambda: f":{port} " in place.run("ss", "-ltn"), "haproxy to listen", 10)
        yield
    finally:
        process.terminate()
        process.wait(10)


JUDGE = """
frontend judge
    mode http
    bind 0.0.0.0:80 accept-proxy
    http-request return status 200 content-type text/plain lf-string "%ci %cp %[fc_pp_unique_id]"
"""


@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed")
@pytest.mark.parametrize("version", ["proxy-v1", "proxy-v2"])
def test_haproxy_reads_our_headers(
    lab: Lab, daemon: Daemon, tmp_path: Path, version: str
) -> None:
    more = {"proxy_tlvs": "crc32c,unique-id"} if version == "proxy-v2" else {}
    publish(daemon, "8080:80", version, **more)
    with haproxy(lab.box, tmp_path, 80, JUDGE), connect(lab, 8080) as client:
        own = client.getsockname()[1]
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        said = read_all(client).decode().rpartition("\r\n\r\n")[2].split()
    assert said[:2] == [CLIENT_IP6, str(own)]
    if version == "proxy-v2":
        assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]+", said[2])


SENDER = """
listen sender
    mode tcp
    bind [::1]:7000
    source [{source}]
    server fairlead [{host}]:8080 {how}
"""


@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed")
@pytest.mark.parametrize(
    "how", ["send-proxy", "send-proxy-v2 proxy-v2-options crc32c,unique-id", "send-proxy-v2"]
)
def test_headers_of_haproxy_are_read(
    lab: Lab, daemon: Daemon, tmp_path: Path, how: str
) -> None:
    publish(daemon, "8080:80", "proxy-v1", accept_proxy_from=CLIENT_IP6)
    sections = SENDER.format(host=HOST_IP6, source=CLIENT_IP6, how=how)
    with haproxy(lab.client, tmp_path, 7000, sections), TcpBackend(lab.box.net, 80):
        with lab.client.connect("::1", 7000) as client:
            own = client.getsockname()[1]
            client.sendall(b"hello")
            got = read_until(client, b"hello")
            shown = daemon.get("/v1/sessions")["sessions"]
    assert got == b"PROXY TCP6 ::1 ::1 %d 7000\r\nhello" % own
    assert [it["client"] for it in shown] == [f"[::1]:{own}"]


def test_one_client_can_be_banned_and_not_its_neighbour(lab: Lab, daemon: Daemon) -> None:
    publish(daemon, "8080:80", "pseudo-ipv4")
    with TcpBackend(lab.box.net, 80, tell_peer):
        banned = seen_by(lab, 8080, CLIENT_IP6)[0]
        lab.box.run("nft", "add table ip bans")
        hook = "{ type filter hook input priority 0 ; }"
        lab.box.run("nft", f"add chain ip bans input {hook}")
        ban = f"ip saddr {banned} meta l4proto tcp reject with tcp reset"
        lab.box.run("nft", f"add rule ip bans input {ban}")
        try:
            with connect(lab, 8080, CLIENT_IP6) as session, pytest.raises(ConnectionResetError):
                session.recv(1)
            assert seen_by(lab, 8080, other_client(lab))[0] != banned
        finally:
            lab.box.run("nft", "delete table ip bans")


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


def test_ten_thousand_requests_of_one_connection(lab: Lab, daemon: Daemon) -> None:
    count = 10000
    publish(daemon, "8080:80", "http")
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

    with TcpBackend(lab.box.net, 80, serve_http(seen)), connect(lab, 8080) as client:
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


def test_none_is_transparent_both_ways(lab: Lab, daemon: Daemon) -> None:
    publish(daemon, "8080:80", "none")
    data = bytes(range(256)) * 4096
    with TcpBackend(lab.box.net, 80), connect(lab, 8080) as client:
        sender = threading.Thread(target=client.sendall, args=(data,), daemon=True)
        sender.start()
        got = b""
        while len(got) < len(data):
            got += client.recv(65536)
        sender.join(10)
    assert got == data
