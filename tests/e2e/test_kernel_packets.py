# SPDX-License-Identifier: Apache-2.0
"""The kernel path, packet by packet and on links that are not as good as others."""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.netns import CLIENT_IP6, HOST_IP6, Namespace
from lab.publish import Publish
from lab.site import BOX, NEIGHBOUR_IP6, Site, SiteDaemon
from lab.transfer import check_transfer
from lab.wait import wait_until
from lab.wire import Wire

pytest_plugins = ["lab.site_fixtures"]
pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("forwarding")]

KERNEL = ["--identity", "pseudo-ipv4", "--path", "kernel"]
UDP_SEGMENT = 103
IPV6_RECVERR = 25
IP_RECVERR = 11
MSG_ERRQUEUE = 0x2000
ETH_P_IPV6 = 0x86DD
ETH_P_IP = 0x0800

Start = Callable[..., Publish]


@pytest.fixture
def publish(site: Site) -> Iterator[Start]:
    started: list[Publish] = []

    def start(*ports: str) -> Publish:
        words = [word for port in ports for word in ("-p", port)]
        started.append(Publish(site.host, *words, *KERNEL, BOX))
        return started[-1]

    yield start
    for it in started:
        if it.process.poll() is None:
            it.process.terminate()
            it.process.communicate(timeout=20)


@contextmanager
def whole_packets(site: Site) -> Iterator[None]:
    """As on a wire: each is one, and has its checksum."""
    ends = [(site.client, "eth0"), (site.host, "eth1"), (site.host, "box0"), (site.box, "eth0")]
    for place, link in ends:
        place.run("ethtool", "-K", link, "tx", "off", "gro", "off", "gso", "off", "tso", "off")
    try:
        yield
    finally:
        for place, link in ends:
            place.run("ethtool", "-K", link, "tx", "on", "gro", "on", "gso", "on", "tso", "on")


@contextmanager
def capture(place: Namespace, file: Path) -> Iterator[None]:
    words = ["tshark", "-q", "-i", "eth0", "-w", str(file)]
    process = subprocess.Popen([*place.enter, *words], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: file.exists() and file.stat().st_size > 0, "the capture to begin", 20)
    time.sleep(0.5)
    try:
        yield
    finally:
        time.sleep(0.5)
        process.terminate()
        process.wait(20)
        process.stderr.close()


LAYERS = ("ip", "tcp", "udp", "icmp", "icmpv6")


def count_packets(file: Path, status: str) -> dict[str, int]:
    """Of each layer, those whose checksum is Good or Bad, by tshark's own sums."""
    words = ["tshark", "-r", str(file), "-T", "fields", "-E", "occurrence=f"]
    words += [f"-o{layer}.check_checksum:TRUE" for layer in ("ip", "tcp", "udp")]
    for layer in LAYERS:
        words += ["-e", f"{layer}.checksum.status"]
    rows = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    values = [row.split("\t") for row in rows]
    return {layer: sum(row[i] == status for row in values) for i, layer in enumerate(LAYERS)}


def provoke_errors(site: Site) -> None:
    """Both sides refuse a datagram of the other's; and the box gets what it cannot part."""
    with site.client.connect(HOST_IP6, 5354, socket.SOCK_DGRAM) as client:
        client.send(b"nobody there")
        with pytest.raises(ConnectionRefusedError):
            client.recv(10)
    with site.box.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", 53))
        with site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client:
            client.send(b"question")
            _, peer = server.recvfrom(100)
        server.connect(peer)
        server.send(b"too late")
        with pytest.raises(ConnectionRefusedError):
            server.recv(10)


def test_tshark_finds_every_checksum_right(site: Site, publish: Start, tmp_path: Path) -> None:
    it = publish("8080:80", "5353:53/udp", "5354:54/udp")
    at_client, at_box = tmp_path / "client.pcapng", tmp_path / "box.pcapng"
    with whole_packets(site), capture(site.client, at_client), capture(site.box, at_box):
        check_transfer(site.box.net, 80, lambda: site.connect(8080), 300_000, 300_000)
        with (
            UdpBackend(site.box.net, 53) as backend,
            site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client,
        ):
            # without a checksum, which IPv4 allows (SO_NO_CHECK)
            backend.socket.setsockopt(socket.SOL_SOCKET, 11, 1)
            for size in (1, 2, 999, 1400):
                assert exchange(client, b"q" * size) == b"q" * size
        provoke_errors(site)
    it.stop()
    for file, least in (
        (at_client, {"tcp": 400, "udp": 10, "icmpv6": 2}),
        (at_box, {"ip": 400, "tcp": 400, "udp": 5, "icmp": 2}),
    ):
        good, bad = count_packets(file, "1"), count_packets(file, "0")
        assert set(bad.values()) == {0}, (file.name, bad)
        assert all(good[layer] >= count for layer, count in least.items()), (file.name, good)


def receive_raw(place: Namespace, ethertype: int) -> socket.socket:
    raw = place.open_socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", ethertype))
    return raw


def take_udp(raw: socket.socket, offset: int, port: int) -> bytes:
    """The first frame from then on that goes to this UDP port, whose header is there."""
    raw.settimeout(5)
    while True:
        frame = raw.recv(65536)
        if len(frame) > offset + 8 and struct.unpack_from("!H", frame, offset + 2)[0] == port:
            return frame


@pytest.mark.parametrize(("size", "has_df"), [(100, False), (1232, False), (1233, True)])
def test_headers_to_the_container(
    site: Site, publish: Start, size: int, has_df: bool
) -> None:
    """RFC 7915 section 5.1: traffic class, length, identification, DF, hop limit, protocol."""
    it = publish("5353:53/udp")
    with (
        UdpBackend(site.box.net, 53),
        receive_raw(site.box, ETH_P_IP) as raw,
        site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client,
    ):
        client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xB9)
        client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 33)
        client.send(b"first")
        take_udp(raw, 34, 53)
        seen = []
        for _ in range(4):
            client.send(b"q" * size)
            seen.append(take_udp(raw, 34, 53))
    it.stop()
    for frame in seen:
        first, tos, length, _, flags, ttl, protocol = struct.unpack_from("!BBHHHBB", frame, 14)
        assert (first, tos, protocol, length) == (0x45, 0xB9, 17, 28 + size)
        assert ttl == 32  # the host has forwarded it
        assert flags == (0x4000 if has_df else 0)
        assert sum(struct.unpack_from("!10H", frame, 14)) % 0xFFFF == 0
    if not has_df:
        assert len({frame[18:20] for frame in seen}) > 1


def test_headers_to_the_client(site: Site, publish: Start) -> None:
    """RFC 7915 section 4.1: traffic class, flow label, length, hop limit, next header."""
    it = publish("5353:53/udp")
    with (
        receive_raw(site.client, ETH_P_IPV6) as raw,
        site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client,
        site.box.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", 53))
        server.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x48)
        server.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 44)
        client.send(b"question")
        _, peer = server.recvfrom(100)
        server.sendto(b"answer", peer)
        address, port = client.getsockname()[:2]
        frame = take_udp(raw, 54, port)
    it.stop()
    word, length, header, hops = struct.unpack_from("!IHBB", frame, 14)
    assert (word, length, header) == (6 << 28 | 0x48 << 20, 8 + 6, 17)
    assert hops == 43  # and so has this
    assert frame[22:38] == socket.inet_pton(socket.AF_INET6, HOST_IP6)
    assert frame[38:54] == socket.inet_pton(socket.AF_INET6, address)
    assert frame[54:56] == struct.pack("!H", 5353)


def test_the_host_is_a_hop_in_both_directions(site: Site, publish: Start) -> None:
    """As traceroute(8) sees it."""
    it = publish("5353:53/udp")
    with (
        site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client,
        site.box.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", 53))
        client.send(b"question")
        _, peer = server.recvfrom(100)
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
        client.send(b"how far?")
        assert error_of(client) == (3, 3, 0)  # SO_EE_ORIGIN_ICMP6, time exceeded
        server.connect(peer)
        server.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        server.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        server.send(b"how far?")
        assert error_of(server) == (2, 11, 0)  # SO_EE_ORIGIN_ICMP, time exceeded
    it.stop()


def error_of(session: socket.socket) -> tuple[int, int, int]:
    """Origin, type and code of the ICMP error that is queued: struct sock_extended_err."""
    found: list[tuple[int, int, int]] = []

    session.setblocking(False)  # Python would wait for data first

    def look() -> bool:
        try:
            _, control, _, _ = session.recvmsg(100, 512, MSG_ERRQUEUE)
        except BlockingIOError:
            return False
        for _, _, data in control:
            if len(data) >= 16:
                found.append(struct.unpack_from("BBB", data, 4))
        return bool(found)

    wait_until(look, "an error", 5)
    return found[0]


@pytest.mark.parametrize("size", [300, 1200, 1452])
def test_many_datagrams_in_one_call_arrive_as_they_were(
    site: Site, publish: Start, size: int
) -> None:
    """As servers of QUIC send: UDP_SEGMENT, udp(7)."""
    it = publish("4433:443/udp")
    with (
        site.client.connect(HOST_IP6, 4433, socket.SOCK_DGRAM) as client,
        site.box.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.bind(("0.0.0.0", 443))
        client.send(b"hello")
        _, peer = server.recvfrom(100)
        parts = [bytes([i]) * size for i in range(20)] + [b"and a short one"]
        control = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", size))]
        for _ in range(20):
            server.sendmsg([b"".join(parts)], control, 0, peer)
            assert [client.recv(65536) for _ in parts] == parts
        # and so may clients send
        client.sendmsg([b"".join(parts)], control)
        assert [server.recv(65536) for _ in parts] == parts
    it.stop()


@contextmanager
def wire_to(site: Site, loss: float = 0, delay_s: float = 0) -> Iterator[tuple[Namespace, Wire]]:
    client = Namespace()
    wire = Wire(site.host, client, loss, delay_s)
    try:
        for place, last in ((site.host, "2"), (client, "100")):
            place.run("ip", "address", "add", f"2001:db8:55::{last}/64", "dev", "wire0", "nodad")
            place.run("ip", "link", "set", "wire0", "up", "txqueuelen", "10000")
        yield client, wire
    finally:
        wire.close()
        client.close()


def test_a_link_without_headers(site: Site, publish: Start) -> None:
    """A tun device, as tunnels are."""
    with wire_to(site) as (client, wire):
        it = publish("8080:80", "5353:53/udp")
        check_transfer(
            site.box.net, 80, lambda: client.connect("2001:db8:55::2", 8080), 2_000_000, 2_000_000
        )
        with (
            UdpBackend(site.box.net, 53),
            client.connect("2001:db8:55::2", 5353, socket.SOCK_DGRAM) as asking,
        ):
            assert exchange(asking, b"question") == b"question"
        summary = it.stop()
    assert wire.carried > 3000
    assert sum("by the kernel" in line for line in summary) == 2, summary


def test_loss_delay_and_reordering(site: Site, publish: Start) -> None:
    with wire_to(site, loss=0.01, delay_s=0.003) as (client, wire):
        it = publish("8080:80")
        check_transfer(
            site.box.net, 80, lambda: client.connect("2001:db8:55::2", 8080), 2_000_000, 2_000_000
        )
        summary = it.stop()
    assert wire.lost > 10
    assert any("by the kernel" in line for line in summary), summary


def test_a_hundred_thousand_flows(site: Site, tmp_path: Path) -> None:
    """They are all listed and counted, and one more connection is as quick as the first."""
    count = 100_000
    daemon = SiteDaemon(site, tmp_path, kernel_pins="off")
    try:
        daemon.publish("5353:53/udp", "pseudo-ipv4", path="kernel")
        daemon.publish("8080:80", "pseudo-ipv4", path="kernel")
        carried = lambda: [rule["carried_by"] for rule in daemon.get("/v1/rules")["rules"]]  # noqa: E731
        wait_until(lambda: carried().count("kernel") == 2, "the kernel", 10)
        with site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as first:
            first.send(b"")  # so that the client has its address, and the host the neighbours
        send_from_many_ports(site, count)
        sessions = lambda: daemon.get("/v1/sessions?limit=1")["total"]  # noqa: E731
        wait_until(lambda: sessions() >= count, f"{count} sessions", 30)
        with TcpBackend(site.box.net, 80), site.connect(8080) as session:
            assert exchange(session, b"question") == b"question"
        memory = Path(f"/proc/{daemon.process.pid}/status").read_text()
        resident_kb = int(memory.split("VmRSS:")[1].split()[0])
        assert resident_kb < 120_000
        metrics = daemon.call("GET", "/metrics")[1]
        assert int(metrics.split("\nfairlead_kernel_flows ")[1].split()[0]) >= count
    finally:
        daemon.stop()


def send_from_many_ports(site: Site, count: int) -> None:
    """Datagrams of two clients, from 50,000 ports each, without a socket for each."""
    ethernet = site.host.mac("eth1") + site.client.mac("eth0") + b"\x86\xdd"
    host = socket.inet_pton(socket.AF_INET6, HOST_IP6)
    with site.client.open_socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for i in range(count):
            client = socket.inet_pton(
                socket.AF_INET6, CLIENT_IP6 if i % 2 == 0 else NEIGHBOUR_IP6
            )
            port = 10_000 + i // 2
            fields = [port, 5353, 10, 0x7878]
            total = sum(struct.unpack("!16H", client + host)) + 17 + 10 + sum(fields)
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            udp = struct.pack("!HHHH", port, 5353, 10, ~total & 0xFFFF or 0xFFFF) + b"xx"
            raw.send(ethernet + struct.pack("!IHBB", 6 << 28, 10, 17, 64) + client + host + udp)
            if i % 500 == 0:
                time.sleep(0.005)  # for the host to keep up
