# SPDX-License-Identifier: Apache-2.0
"""--path kernel: outside IPv6 clients are carried by the kernel, packet by packet."""

import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange, read_all, tell_peer
from lab.kernel_path import filters_of, forward_filter, is_by_kernel_alone, of_ours
from lab.netns import CLIENT_IP6, HOST_IP6, HOST_OTHER_IP6, Namespace, Place
from lab.publish import FAIRLEAD, Publish
from lab.site import BOX, NEIGHBOUR_IP6, Site
from lab.transfer import check_transfer
from lab.wait import wait_until

pytest_plugins = ["lab.site_fixtures"]
pytestmark = pytest.mark.timeout(120)

KERNEL = ["--identity", "pseudo-ipv4", "--path", "kernel"]


Start = Callable[..., Publish]


@pytest.fixture
def publish(site: Site, forwarding: None) -> Iterator[Start]:
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


def test_the_container_sees_the_client(site: Site, publish: Start) -> None:
    it = publish("8080:80", "5353:53/udp")
    seen = []
    with TcpBackend(site.box.net, 80, tell_peer):
        for source in (CLIENT_IP6, NEIGHBOUR_IP6, CLIENT_IP6):
            with site.connect(8080, source) as session:
                ip, port = read_all(session).decode().split()
                assert int(port) == session.getsockname()[1]
                assert session.getpeername()[:2] == (HOST_IP6, 8080)
            seen.append(ip)
    assert seen[0] == seen[2] != seen[1]
    assert {int(ip.split(".")[0]) // 8 for ip in seen} == {240 // 8}
    with UdpBackend(site.box.net, 53) as backend:
        for source in (CLIENT_IP6, NEIGHBOUR_IP6):
            with site.client.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                client.bind((source, 0))
                client.connect((HOST_IP6, 5353))
                for i in range(100):
                    client.send(b"question %d" % i)
                    assert client.recv(100) == b"question %d" % i
    assert list(dict.fromkeys(backend.clients)) == seen[:2]
    assert is_by_kernel_alone(it.stop())


def test_every_byte_comes_both_ways(site: Site, publish: Start) -> None:
    it = publish("8080:80")
    check_transfer(site.box.net, 80, lambda: site.connect(8080), 20_000_000, 20_000_000)
    assert is_by_kernel_alone(it.stop())


def segment_size(session: socket.socket) -> int:
    """The largest that has come: tcpi_rcv_mss of struct tcp_info."""
    info = session.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("I", info, 20)[0]


@contextmanager
def narrow_path(site: Site, mtu: int) -> Iterator[Namespace]:
    """A client behind two routers, between which packets have to be small; and they are not told at
    its own link, nor at the host's.
    """
    far, near, client = Namespace(), Namespace(), Namespace()

    def link(one: Place, one_end: str, other: Place, other_end: str, net: str, size: int) -> None:
        words = ["ip", "link", "add", one_end, "mtu", str(size), "type", "veth"]
        words += ["peer", "name", other_end, "mtu", str(size), "netns", str(other.holder.pid)]
        one.run(*words)
        for place, name, last in ((one, one_end, 1), (other, other_end, 2)):
            place.set(name, "accept_dad", 0)
            place.run("ip", "address", "add", f"{net}::{last}/64", "dev", name, "nodad")
            place.run("ip", "link", "set", name, "up")

    try:
        link(far, "out", client, "eth0", "2001:db8:9", 1500)
        link(near, "in", far, "in", "2001:db8:8", mtu)
        link(near, "out", site.host, "far0", "2001:db8:7", 1500)
        for router in (far, near):
            router.set("all", "forwarding", 1)
        client.run("ip", "route", "add", "default", "via", "2001:db8:9::1")
        far.run("ip", "route", "add", "2001:db8:7::/64", "via", "2001:db8:8::1")
        near.run("ip", "route", "add", "2001:db8:9::/64", "via", "2001:db8:8::2")
        site.host.run("ip", "route", "add", "2001:db8:9::/64", "via", "2001:db8:7::1")
        yield client
    finally:
        for place in (client, far, near):
            place.close()
        wait_until(lambda: "far0" not in site.host.run("ip", "link"), "the link to have gone")


@pytest.mark.parametrize("mtu", [1280, 1400])
def test_a_narrow_path_is_found_out(site: Site, forwarding: None, publish: Start, mtu: int) -> None:
    with narrow_path(site, mtu) as client:
        it = publish("8080:80")
        connect = lambda: client.connect("2001:db8:7::2", 8080)  # noqa: E731
        check_transfer(site.box.net, 80, connect, 100_000_000, 100_000_000)
        assert is_by_kernel_alone(it.stop())


def test_a_narrow_link_to_the_container_is_told(site: Site, publish: Start) -> None:
    """By the host's own stack, to the client."""
    site.host.run("ip", "link", "set", "box0", "mtu", "1300")
    try:
        it = publish("8080:80")
        check_transfer(site.box.net, 80, lambda: site.connect(8080), 3_000_000, 3_000_000)
        assert is_by_kernel_alone(it.stop())
    finally:
        site.host.run("ip", "link", "set", "box0", "mtu", "1500")


def test_a_narrow_link_to_clients_is_told(site: Site, publish: Start) -> None:
    """By the program, to the container."""
    site.host.run("ip", "link", "set", "eth1", "mtu", "1400")
    try:
        it = publish("8080:80")
        check_transfer(site.box.net, 80, lambda: site.connect(8080), 3_000_000, 3_000_000)
        site.host.run("ip", "link", "set", "eth1", "mtu", "1300")  # while it runs
        check_transfer(site.box.net, 80, lambda: site.connect(8080), 3_000_000, 3_000_000)
        assert is_by_kernel_alone(it.stop())
    finally:
        site.host.run("ip", "link", "set", "eth1", "mtu", "1500")


def test_another_link_may_be_narrower(site: Site, publish: Start) -> None:
    """A connection has the MTU of its own link."""
    site.host.run(*"ip link add other0 mtu 1300 type veth peer name other1".split())
    site.host.run(*"ip address add 2001:db8:77::1/64 dev other0 nodad".split())
    site.host.run(*"ip link set other0 up".split())
    site.host.run(*"ip link set other1 up".split())
    site.box.run("ip", "route", "flush", "cache")  # of what others have found out
    site.client.run("ip", "-6", "route", "flush", "cache")
    try:
        it = publish("8080:80")
        with TcpBackend(site.box.net, 80), site.connect(8080) as session:
            assert len(exchange(session, b"x" * 100_000)) == 100_000
            assert segment_size(session) > 1400
        assert is_by_kernel_alone(it.stop())
    finally:
        site.host.run("ip", "link", "del", "other0")


@pytest.mark.parametrize("size", [1452, 1453, 1472, 1473, 5000, 60000])
def test_large_answers_come_in_fragments(site: Site, publish: Start, size: int) -> None:
    it = publish("5353:53/udp")
    answer = Random(size).randbytes(size)
    with (
        site.box.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", 53))
        for _ in range(5):
            client.send(b"question")
            # the first that is too large without fragments is told to the server's kernel
            _, peer = server.recvfrom(100)
            server.sendto(answer, peer)
            client.settimeout(1)
            try:
                got = client.recv(65536)
                break
            except TimeoutError:
                continue
    assert got == answer
    assert is_by_kernel_alone(it.stop())


def test_large_questions_are_carried_by_the_relay(site: Site, publish: Start) -> None:
    it = publish("5353:53/udp")
    question = Random(1).randbytes(5000)
    with (
        UdpBackend(site.box.net, 53) as backend,
        site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client,
    ):
        client.send(question)
        assert client.recv(65536) == question
        client.send(b"small")
        assert client.recv(100) == b"small"
        client.send(question)
        assert client.recv(65536) == question
    assert len(set(backend.clients)) == 1
    it.stop()


def test_clients_of_the_host_are_served_by_the_relay(site: Site, publish: Start) -> None:
    it = publish("8080:80")
    with TcpBackend(site.box.net, 80, tell_peer):
        for address in ("::1", HOST_IP6, "127.0.0.1"):
            with site.host.connect(address, 8080) as session:
                assert read_all(session)
    summary = it.stop()
    assert any(line.startswith("[::]:8080/tcp") and " 2 " in line for line in summary), summary


def test_nothing_is_left_and_others_filters_stay(site: Site, publish: Start) -> None:
    assert of_ours(site) == []
    site.host.run("tc", "qdisc", "add", "dev", "eth1", "clsact")
    # classic BPF, which this kernel has: "ret 0", it matches nothing
    theirs = ["tc", "filter", "add", "dev", "eth1", "ingress", "prio", "7", "protocol", "ip"]
    site.host.run(*theirs, "bpf", "bytecode", "1,6 0 0 0,", "flowid", "1:1")
    try:
        it = publish("8080:80")
        assert {"fairlead0", "fairlead1", "uplink_ether"} <= set(of_ours(site))
        it.stop()
        assert of_ours(site) == ["clsact"]
        assert "pref 7 bpf" in site.host.run("tc", "filter", "show", "dev", "eth1", "ingress")
    finally:
        site.host.run("tc", "qdisc", "del", "dev", "eth1", "clsact")


def test_a_killed_one_is_taken_over(site: Site, publish: Start) -> None:
    publish("8080:80").kill()
    assert of_ours(site) != []
    it = publish("8080:80")
    filters = site.host.run("tc", "filter", "show", "dev", "eth1", "ingress")
    assert filters.count("uplink_ether:") == 1
    with TcpBackend(site.box.net, 80, tell_peer), site.connect(8080) as session:
        assert read_all(session)
    it.stop()
    assert set(of_ours(site)) <= {"clsact"}  # of which it cannot know whose they were
    for link in ("eth1", "box0"):
        site.host.run("tc", "qdisc", "del", "dev", link, "clsact")


def refusal(site: Site, *words: str, lacks: str = "") -> str:
    prefix = ["setpriv", f"--bounding-set={lacks}"] if lacks else []
    command = [*site.host.enter, *prefix, FAIRLEAD, "publish", "-p", "8080:80", *words, BOX]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    return done.stderr


def test_a_host_that_does_not_forward_is_told(site: Site) -> None:
    assert "set net.ipv4.ip_forward=1" in refusal(site, *KERNEL)
    assert of_ours(site) == []


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ("-sys_admin,-bpf,-perfmon", "this process needs CAP_BPF"),
        ("-net_raw", "this process needs CAP_NET_RAW"),
        ("-net_admin", "this process needs CAP_NET_ADMIN"),
    ],
)
def test_a_missing_capability_is_named_and_nothing_left(
    site: Site, forwarding: None, lacks: str, said: str
) -> None:
    error = refusal(site, *KERNEL, lacks=lacks)
    assert said in error and error.count("\n") == 1
    assert of_ours(site) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--path", "kernel"], "give it identity pseudo-ipv4"),
        (["--path", "auto"], "path: auto shows clients by their addresses alone"),
        ([*KERNEL, "--identity", "http"], "give it identity pseudo-ipv4"),
        ([*KERNEL, "--pseudo-client-length", "64"], "leave out --pseudo-client-length"),
        (["--path", "fast"], "path: 'fast' is none of relay, kernel, auto"),
    ],
)
def test_what_cannot_be_combined_is_refused(site: Site, words: list[str], said: str) -> None:
    assert said in refusal(site, *words)


@contextmanager
def checksums_by_hand(site: Site, place: Namespace, link: str) -> Iterator[None]:
    """Its packets leave with whole checksums, as they arrive from a wire."""
    place.run("ethtool", "-K", link, "tx", "off")
    try:
        yield
    finally:
        place.run("ethtool", "-K", link, "tx", "on")


@pytest.mark.parametrize("link", ["eth1", "box0", "client", "box"])
def test_checksums_are_right_for_those_who_look(site: Site, publish: Start, link: str) -> None:
    """
    Who computes them late, as a link of the host without offload does, does so of what the
    translation has left; and who has them whole has them looked at.
    """
    place, name = {
        "eth1": (site.host, "eth1"),
        "box0": (site.host, "box0"),
        "client": (site.client, "eth0"),
        "box": (site.box, "eth0"),
    }[link]
    it = publish("8080:80", "5353:53/udp")
    with checksums_by_hand(site, place, name):
        check_transfer(site.box.net, 80, lambda: site.connect(8080), 3_000_000, 3_000_000)
        with (
            UdpBackend(site.box.net, 53),
            site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client,
        ):
            client.settimeout(5)
            assert exchange(client, b"question") == b"question"
    assert is_by_kernel_alone(it.stop())


def test_filters_of_others_behind_ours_count(site: Site, publish: Start) -> None:
    it = publish("8080:80")
    site.host.run("tc", "qdisc", "replace", "dev", "eth1", "clsact")
    theirs = ["tc", "filter", "add", "dev", "eth1", "ingress", "prio", "5000", "protocol", "all"]
    # classic BPF: "ret TC_ACT_SHOT"
    site.host.run(*theirs, "bpf", "bytecode", "1,6 0 0 2,", "direct-action")
    try:
        with (
            TcpBackend(site.host.net, 81),
            site.client.open_socket(socket.AF_INET6, socket.SOCK_STREAM) as client,
            pytest.raises(TimeoutError),
        ):
            client.settimeout(1)
            client.connect((HOST_IP6, 81))
    finally:
        site.host.run("tc", "filter", "del", "dev", "eth1", "ingress", "prio", "5000")
        it.stop()


def test_a_link_may_lead_to_clients_and_to_containers(site: Site, publish: Start) -> None:
    """As the bridge of a network with both families does."""
    site.host.run("ip", "address", "add", "fd00:7::1/64", "dev", "box0", "nodad")
    site.host.run("ip", "address", "add", "172.31.0.1/24", "dev", "eth1", check=False)
    try:
        it = publish("8080:80")
        assert filters_of(site, "box0") == ["uplink_ether", "container_link", "passed_forward"]
        with TcpBackend(site.box.net, 80, tell_peer), site.connect(8080) as session:
            assert read_all(session)
        assert is_by_kernel_alone(it.stop())
        assert filters_of(site, "box0") == []
    finally:
        site.host.run("ip", "address", "del", "fd00:7::1/64", "dev", "box0")
        site.host.run("ip", "address", "del", "172.31.0.1/24", "dev", "eth1", check=False)


def forge(site: Site, packet: bytes) -> None:
    """Sends a frame of the client's link, whatever is in it."""
    frame = site.host.mac("eth1") + site.client.mac("eth0") + packet
    with site.client.open_socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        raw.send(frame)


def test_what_is_forged_to_come_from_transit_addresses_is_dropped(
    site: Site, publish: Start
) -> None:
    it = publish("5353:53/udp")
    payload = b"forged"
    udp = struct.pack("!HHHH", 5000, 53, 8 + len(payload), 0) + payload
    source, target = socket.inet_aton("248.1.2.3"), socket.inet_aton(BOX)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, source, target)
    total = sum(struct.unpack("!10H", head))
    check = ~(total + (total >> 16)) & 0xFFFF
    head = head[:10] + struct.pack("!H", check) + head[12:]
    with UdpBackend(site.box.net, 53) as backend:
        for _ in range(3):
            forge(site, b"\x08\x00" + head + udp)
        with site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client:
            assert exchange(client, b"question") == b"question"
    assert len(backend.clients) == 1
    it.stop()


def test_who_is_rejected_in_forward_is_told(site: Site, publish: Start) -> None:
    it = publish("8080:80")
    try:
        for how in ("reject with tcp reset", "reject"):
            with (
                forward_filter(site, f"tcp dport 80 {how}"),
                TcpBackend(site.box.net, 80),
                pytest.raises(ConnectionRefusedError),
            ):
                site.connect(8080)
    finally:
        it.stop()


def test_a_firewall_that_is_loaded_anew_is_noticed(site: Site, publish: Start) -> None:
    it = publish("8080:80")
    with TcpBackend(site.box.net, 80, tell_peer):
        site.host.run("nft", "flush", "ruleset")
        wait_until(lambda: "fairlead_kernel" in site.host.run("nft", "list", "tables"), "it", 5)
        with site.connect(8080) as session:
            assert read_all(session).startswith(b"24")
    it.stop()


@pytest.mark.parametrize("port", [20000, 50000])
def test_one_port_towards_two_of_the_hosts_addresses(
    site: Site, publish: Start, port: int
) -> None:
    """The container could not tell them apart, so the second is the relay's."""
    it = publish("8080:80")
    with TcpBackend(site.box.net, 80):
        made = []
        for host in (HOST_IP6, HOST_OTHER_IP6):
            session = site.client.open_socket(socket.AF_INET6, socket.SOCK_STREAM)
            session.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            session.settimeout(5)
            session.bind((CLIENT_IP6, port))
            session.connect((host, 8080))
            made.append(session)
        for session in made:
            assert exchange(session, b"question") == b"question"
            session.close()
    assert any(" 1 " in line for line in it.stop() if line.startswith("[::]:8080"))
