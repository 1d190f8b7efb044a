# SPDX-License-Identifier: Apache-2.0
"""PROXY headers: what other programs read of ours, and what we read of theirs."""

import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, read_all, read_until
from lab.netns import CLIENT_IP6, HOST_IP6, Place
from lab.server import needs, serving
from lab.site import BOX, GATEWAY, NEIGHBOUR_IP6, Site, SiteDaemon
from lab.wait import wait_until

pytest_plugins = ["lab.site_fixtures"]
pytestmark = pytest.mark.timeout(120)

WITH_TLVS = {"proxy_tlvs": "crc32c,unique-id"}
UNIQUE_ID = r"[0-9a-f]{16}-[0-9a-f]+"
each_header = pytest.mark.parametrize(
    ("version", "tlvs"), [("proxy-v1", {}), ("proxy-v2", {}), ("proxy-v2", WITH_TLVS)]
)


def test_proxy_v1_comes_first(site: Site, site_daemon: SiteDaemon) -> None:
    site_daemon.publish("8080:80", "proxy-v1")
    with TcpBackend(site.box.net, 80), site.connect(8080) as client:
        client.sendall(b"hello")
        said = read_until(client, b"hello")
    expected = rf"PROXY TCP6 {CLIENT_IP6} {HOST_IP6} \d+ 8080\r\nhello".encode()
    assert re.fullmatch(expected, said)


def test_client_that_another_proxy_names_is_the_client(
    site: Site, site_daemon: SiteDaemon
) -> None:
    trusted = f"{CLIENT_IP6},{NEIGHBOUR_IP6}"
    site_daemon.publish("8080:80", "proxy-v1", accept_proxy_from=trusted)
    with TcpBackend(site.box.net, 80), site.connect(8080) as session:
        named = b"PROXY TCP6 2001:db8:ffff::1 2001:db8:ffff::2 4711 25\r\n"
        session.sendall(named + b"hello")
        assert read_until(session, b"hello") == named + b"hello"
        (shown,) = site_daemon.get("/v1/sessions")["sessions"]
        assert shown["client"] == "[2001:db8:ffff::1]:4711"
        assert shown["announcer"].startswith(f"[{CLIENT_IP6}]:")
    with site.connect(8080) as session, pytest.raises(ConnectionResetError):
        session.sendall(b"no header")
        session.recv(1)


# HAProxy.

HAPROXY = """
global
    maxconn 100
defaults
    timeout connect 5s
    timeout client 5s
    timeout server 5s
"""


@contextmanager
def haproxy(place: Place, folder: Path, port: int, sections: str) -> Iterator[None]:
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY + sections)
    with serving(place, ["haproxy", "-q", "-db", "-f", str(config)], port):
        yield


HAPROXY_JUDGE = """
frontend judge
    mode http
    bind 0.0.0.0:80 accept-proxy
    http-request return status 200 content-type text/plain lf-string "%ci %cp %[fc_pp_unique_id]"
"""


def ask(site: Site) -> tuple[int, list[str]]:
    """The client's port, and the words that a web server on port 8080 answers with."""
    with site.connect(8080) as client:
        own = client.getsockname()[1]
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return own, read_all(client).decode().rpartition("\r\n\r\n")[2].split()


@needs("haproxy")
@pytest.mark.parametrize("version", ["proxy-v1", "proxy-v2"])
def test_haproxy_reads_our_headers(
    site: Site, site_daemon: SiteDaemon, tmp_path: Path, version: str
) -> None:
    """It closes a connection whose checksum is wrong."""
    site_daemon.publish("8080:80", version, **(WITH_TLVS if version == "proxy-v2" else {}))
    with haproxy(site.box, tmp_path, 80, HAPROXY_JUDGE):
        own, said = ask(site)
    assert said[:2] == [CLIENT_IP6, str(own)]
    if version == "proxy-v2":
        assert re.fullmatch(UNIQUE_ID, said[2])


HAPROXY_SENDER = """
listen sender
    mode tcp
    bind [::1]:7000
    source [{source}]
    server fairlead [{host}]:8080 {how}
"""


def check_sender(site: Site, daemon: SiteDaemon) -> None:
    """That the client of the proxy at [::1]:7000 is the one that the box and the daemon see."""
    with TcpBackend(site.box.net, 80), site.client.connect("::1", 7000) as client:
        own = client.getsockname()[1]
        client.sendall(b"hello")
        got = read_until(client, b"hello")
        shown = daemon.get("/v1/sessions")["sessions"]
    assert got == b"PROXY TCP6 ::1 ::1 %d 7000\r\nhello" % own
    assert [it["client"] for it in shown] == [f"[::1]:{own}"]


@needs("haproxy")
@pytest.mark.parametrize(
    "how", ["send-proxy", "send-proxy-v2 proxy-v2-options crc32c,unique-id", "send-proxy-v2"]
)
def test_headers_of_haproxy_are_read(
    site: Site, site_daemon: SiteDaemon, tmp_path: Path, how: str
) -> None:
    site_daemon.publish("8080:80", "proxy-v1", accept_proxy_from=CLIENT_IP6)
    sections = HAPROXY_SENDER.format(host=HOST_IP6, source=CLIENT_IP6, how=how)
    with haproxy(site.client, tmp_path, 7000, sections):
        check_sender(site, site_daemon)


# nginx.

NGINX = """
{modules}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
{sections}
"""

NGINX_JUDGE = """
http {
    access_log off;
    server {
        listen 80 proxy_protocol;
        default_type text/plain;
        return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr \
$proxy_protocol_server_port";
    }
}
"""

NGINX_SENDER = f"""
stream {{
    server {{
        listen [::1]:7000;
        proxy_bind {CLIENT_IP6};
        proxy_protocol on;
        proxy_pass [{HOST_IP6}]:8080;
    }}
}}
"""

NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


@contextmanager
def nginx(
    place: Place, folder: Path, port: int, sections: str, modules: str = ""
) -> Iterator[None]:
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, sections=sections, modules=modules))
    words = ["nginx", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    with serving(place, words, port):
        yield


@needs("nginx")
@each_header
def test_nginx_reads_our_headers(
    site: Site, site_daemon: SiteDaemon, tmp_path: Path, version: str, tlvs: dict[str, str]
) -> None:
    site_daemon.publish("8080:80", version, **tlvs)
    with nginx(site.box, tmp_path, 80, NGINX_JUDGE):
        own, said = ask(site)
    assert said == [CLIENT_IP6, str(own), HOST_IP6, "8080"]


@needs("nginx", NGINX_STREAM)
def test_headers_of_nginx_are_read(site: Site, site_daemon: SiteDaemon, tmp_path: Path) -> None:
    site_daemon.publish("8080:80", "proxy-v1", accept_proxy_from=CLIENT_IP6)
    modules = f"load_module {NGINX_STREAM};"
    with nginx(site.client, tmp_path, 7000, NGINX_SENDER, modules):
        check_sender(site, site_daemon)


# tshark.

FIELDS = ["src.ipv6", "dst.ipv6", "srcport", "dstport"]
FIELDS += ["v2.addr_family_protocol", "v2.tlv.type", "v2.tlv.value", "bad_format", "v2.unknown"]


def dissect(capture: Path) -> list[dict[str, str]]:
    """What tshark reads of the PROXY headers in a capture."""
    words = ["tshark", "-r", str(capture), "-o", "tcp.try_heuristic_first:TRUE", "-Y", "proxy"]
    words += ["-T", "fields", "-E", "separator=|"]
    for field in FIELDS:
        words += ["-e", f"proxy.{field}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return [dict(zip(FIELDS, line.split("|"), strict=True)) for line in lines]


@contextmanager
def captured(place: Place, capture: Path) -> Iterator[None]:
    """Writes into a file what comes to TCP port 80 meanwhile."""
    words = ["tshark", "-q", "-i", "eth0", "-f", "tcp dst port 80", "-w", str(capture)]
    process = subprocess.Popen(
        [*place.enter, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    try:
        while "Capturing on" not in (line := process.stderr.readline()):
            assert line, "tshark does not capture"
        wait_until(lambda: capture.exists() and capture.stat().st_size, "tshark to write")
        empty = capture.stat().st_size
        yield
        wait_until(lambda: capture.stat().st_size > empty, "tshark to have captured")
    finally:
        process.terminate()
        process.communicate(timeout=20)


@needs("tshark")
@each_header
def test_tshark_reads_our_headers(
    site: Site, site_daemon: SiteDaemon, tmp_path: Path, version: str, tlvs: dict[str, str]
) -> None:
    site_daemon.publish("8080:80", version, **tlvs)
    capture = tmp_path / "capture"
    with captured(site.box, capture):
        with TcpBackend(site.box.net, 80), site.connect(8080) as client:
            own = client.getsockname()[1]
            client.sendall(b"hello")
            read_until(client, b"hello")
    (found,) = dissect(capture)
    addresses = [found[name] for name in ("src.ipv6", "dst.ipv6", "srcport", "dstport")]
    assert addresses == [CLIENT_IP6, HOST_IP6, str(own), "8080"]
    assert found["v2.addr_family_protocol"] == ("" if version == "proxy-v1" else "0x21")
    assert found["bad_format"] == found["v2.unknown"] == ""
    if not tlvs:
        assert found["v2.tlv.type"] == ""
        return
    assert found["v2.tlv.type"] == "0x03,0x05"
    checksum, unique_id = (bytes.fromhex(value) for value in found["v2.tlv.value"].split(","))
    assert len(checksum) == 4
    assert re.fullmatch(UNIQUE_ID, unique_id.decode())


# Datagrams.

KNOT = """
server:
    rundir: {folder}
    listen: {box}@53
    proxy-allowlist: {gateway}
database:
    storage: {folder}
zone:
  - domain: whoami.test
    file: {folder}/zone
    module: mod-whoami
"""
ZONE = "@ 0 SOA ns. admin. 1 60 60 60 0\n@ 0 NS ns.test.\n"
# Type AAAA of whoami.test: the server answers with the address of whom it takes to be the client.
QUESTION = bytes.fromhex("abcd 0000 0001 0000 0000 0000") + b"\6whoami\4test\0\0\x1c\0\1"


@needs("knotd")
def test_dns_server_reads_the_header_of_every_datagram(
    site: Site, site_daemon: SiteDaemon, tmp_path: Path
) -> None:
    """Knot takes PROXY v2 over UDP from its proxies, in every datagram."""
    (tmp_path / "zone").write_text(ZONE)
    config = tmp_path / "knot.conf"
    config.write_text(KNOT.format(folder=tmp_path, box=BOX, gateway=GATEWAY))
    site_daemon.publish("5353:53/udp", "proxy-v2", udp_proxy="every", **WITH_TLVS)
    with serving(site.box, ["knotd", "-c", str(config)], 53):
        for source in (CLIENT_IP6, NEIGHBOUR_IP6):
            with site.client.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                client.bind((source, 0))
                for _ in range(20):
                    client.sendto(QUESTION, (HOST_IP6, 5353))
                    answer = client.recv(1000)
                    assert answer.endswith(socket.inet_pton(socket.AF_INET6, source))


def header_v2(transport: int, host: str = "192.0.2.2") -> bytes:
    """Of a client of IPv4; transport is 1 for streams, 2 for datagrams."""
    addresses = socket.inet_aton("192.0.2.7") + socket.inet_aton(host)
    ports = struct.pack("!HH", 4000, 53)
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    return signature + struct.pack("!BBH", 0x21, 0x10 | transport, 12) + addresses + ports


def test_a_header_has_to_be_of_the_rules_protocol(site: Site, site_daemon: SiteDaemon) -> None:
    site_daemon.publish("5353:53/udp", "none", accept_proxy_from=CLIENT_IP6)
    with (
        UdpBackend(site.box.net, 53) as backend,
        site.client.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as client,
    ):
        client.bind((CLIENT_IP6, 0))
        client.connect((HOST_IP6, 5353))
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.2 4000 53\r\nversion 1 is for streams")
        client.send(header_v2(1) + b"so is this")
        client.send(header_v2(2) + b"question")
        assert client.recv(100) == b"question"
    assert len(backend.clients) == 1


def test_datagrams_of_one_client_to_two_hosts_are_of_two_sessions(
    site: Site, site_daemon: SiteDaemon
) -> None:
    """A proxy in front has several addresses, and a client may ask from one port at each of them."""
    site_daemon.publish("5353:53/udp", "proxy-v2", accept_proxy_from=CLIENT_IP6)
    with (
        UdpBackend(site.box.net, 53),
        site.client.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as proxy,
    ):
        proxy.bind((CLIENT_IP6, 0))
        proxy.connect((HOST_IP6, 5353))
        for host in ("192.0.2.2", "192.0.2.3", "192.0.2.2"):
            proxy.send(header_v2(2, host) + b"question")
            assert proxy.recv(100) == header_v2(2, host) + b"question"
