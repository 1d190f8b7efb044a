# SPDX-License-Identifier: Apache-2.0
"""Fairlead in docker-proxy's place, under real Docker Engines of two generations: its traffic."""

import re
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.engine import PROXY
from lab.lab import Lab, curl
from lab.netns import CLIENT_IP6, HOST_IP4, HOST_IP6, HOST_OTHER_IP6, Namespace
from lab.wait import wait_until

pytest_plugins = ["lab.fixtures"]
pytestmark = pytest.mark.timeout(300)

UDP = socket.SOCK_DGRAM
GATEWAY = "172.17.0.1"


def assert_echo(namespace: Namespace, address: str, port: int, kind: int) -> None:
    """Data passes both ways; replies to a datagram come from the address that it was sent to."""
    data = f"to {address}".encode()
    with namespace.connect(address, port, kind) as session:
        assert exchange(session, data) == data, f"{address} port {port}"


def test_the_engine_is_of_the_generation_that_is_meant(lab: Lab) -> None:
    version = lab.docker("version", "--format", "{{.Server.Version}}")
    assert version.startswith(lab.engine.installation.version)
    assert lab.engine.installation.major >= 28 or version.startswith("20.10.")


def test_the_transcript(lab: Lab) -> None:
    container = lab.docker("run", "--rm", "-d", "--name", "web_1", "-p", "8080:80", "webapp")
    lab.wait_for_webapp("web_1")
    page = f"Hostname: {container[:12]}\nRemote IP: {GATEWAY}\n"
    assert curl(lab.host, "http://[::1]:8080/") == page
    assert curl(lab.client, f"http://[{HOST_IP6}]:8080/") == page

    headers = curl(lab.client, f"http://[{HOST_IP6}]:8080/headers").splitlines()
    assert sorted(line.partition(":")[0] for line in headers) == ["Accept", "Host", "User-Agent"]
    assert f"Host: [{HOST_IP6}]:8080" in headers

    assert lab.places() == [("tcp", "0.0.0.0", 8080), ("tcp", "::", 8080)]
    assert {proxy.words[0] for proxy in lab.engine.proxies()} == {str(PROXY)}


def test_the_pair_of_sessions_is_listed(lab: Lab) -> None:
    lab.run_webapp("--rm", "--name", "web_1", "-p", "8080:80")
    with lab.host.connect("::1", 8080) as session:
        session.sendall(b"GET / HTTP/1.1\r\nHost: web_1\r\n\r\n")
        assert session.recv(4096).startswith(b"HTTP/1.1 200")
        port = session.getsockname()[1]
        listed = lab.host.run("netstat", "-nt")
        sockets = lab.host.run("ss", "-nt")
    established = r" +ESTABLISHED\s*$"
    assert re.search(rf"^tcp6 .* ::1:{port} +::1:8080{established}", listed, re.M), listed
    assert re.search(rf"^tcp .* 172\.17\.0\.1:\d+ +172\.17\.0\.2:80{established}", listed, re.M)
    assert re.search(rf"^ESTAB .* \[::1\]:{port} +\[::1\]:8080\b", sockets, re.M), sockets
    assert re.search(r"^ESTAB .* 172\.17\.0\.1:\d+ +172\.17\.0\.2:80\b", sockets, re.M), sockets


def test_udp_over_ipv6(lab: Lab) -> None:
    """An address that is not the first of its link shows whether a reply comes from any."""
    lab.run_webapp("--name", "dns", "-p", "5300:7000/udp")
    with UdpBackend(lab.engine.container_net("dns"), 7000) as backend:
        assert_echo(lab.host, "::1", 5300, UDP)
        for address in [HOST_IP6, HOST_OTHER_IP6]:
            assert_echo(lab.client, address, 5300, UDP)
    assert backend.clients == [GATEWAY] * 3


def test_every_address_of_the_host(lab: Lab) -> None:
    published = ["-p", "8000:7000", "-p", "8000:7000/udp"]
    lab.run_webapp("--name", "echo", *published)
    wait_until(lab.host.is_settled, "the host's addresses are in use")
    own = [*lab.host.addresses(), "127.0.0.2"]
    assert {"127.0.0.1", "::1", HOST_IP4, HOST_IP6, GATEWAY} < set(own)
    assert {a.partition("%")[2] for a in own if a.startswith("fe80:")} >= {"eth1", "docker0"}
    outside = [HOST_IP4, HOST_IP6, HOST_OTHER_IP6, lab.network.link_local()]
    net = lab.engine.container_net("echo")
    with TcpBackend(net, 7000), UdpBackend(net, 7000):
        for kind in [socket.SOCK_STREAM, UDP]:
            for address in own:
                assert_echo(lab.host, address, 8000, kind)
            for address in outside:
                assert_echo(lab.client, address, 8000, kind)


def test_udp_on_one_loopback_address(lab: Lab) -> None:
    lab.run_webapp("--name", "dns", "-p", "127.0.0.2:5300:7000/udp")
    assert lab.places() == [("udp", "127.0.0.2", 5300)]
    with UdpBackend(lab.engine.container_net("dns"), 7000):
        assert_echo(lab.host, "127.0.0.2", 5300, UDP)
        for address in ["127.0.0.1", "::1"]:
            with lab.host.connect(address, 5300, UDP) as session:
                with pytest.raises(ConnectionRefusedError):
                    exchange(session, b"nobody")


def test_only_the_published_address_is_served(lab: Lab) -> None:
    """Other addresses are for other programs, even if they serve the same port."""
    lab.run_webapp("--name", "web_1", "-p", "127.0.0.1:8100:80", "-p", f"[{HOST_IP6}]:8101:80")
    assert lab.places() == [("tcp", "127.0.0.1", 8100), ("tcp", HOST_IP6, 8101)]
    assert f"Remote IP: {GATEWAY}" in curl(lab.host, "http://127.0.0.1:8100/")
    assert f"Remote IP: {GATEWAY}" in curl(lab.client, f"http://[{HOST_IP6}]:8101/")
    for address, port in [("::1", 8100), ("::1", 8101), (HOST_OTHER_IP6, 8101)]:
        with pytest.raises(ConnectionRefusedError):
            lab.host.connect(address, port)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, UDP], ids=["tcp", "udp"])
def test_a_container_calls_a_published_port_of_the_host(lab: Lab, kind: int) -> None:
    """Its neighbour, itself, and one of another network, which has no other way to it."""
    published = "8000:7000" + ("/udp" if kind == UDP else "")
    lab.docker("network", "create", "other")
    lab.run_webapp("--name", "echo", "-p", published)
    lab.run_webapp("--name", "neighbour")
    lab.run_webapp("--name", "stranger", "--network", "other")
    template = "range .NetworkSettings.Networks}}{{.Gateway}}{{end"
    gateway = lab.engine.inspect("stranger", template)
    assert gateway not in ("", GATEWAY)
    served = UdpBackend if kind == UDP else TcpBackend
    with served(lab.engine.container_net("echo"), 7000):
        for caller, address in [
            ("neighbour", GATEWAY),
            ("neighbour", HOST_IP4),
            ("echo", GATEWAY),
            ("echo", HOST_IP4),
            ("stranger", GATEWAY),
            ("stranger", HOST_IP4),
            ("stranger", gateway),
        ]:
            assert_echo(lab.engine.container(caller), address, 8000, kind)


def test_a_backend_that_takes_one_connection_gets_the_clients(lab: Lab) -> None:
    """A connection that only tries whether it is there would take that one from the client."""
    lab.run_webapp("--name", "once", "-p", "8000:7000")
    with TcpBackend(lab.engine.container_net("once"), 7000, only_one=True) as backend:
        assert_echo(lab.client, HOST_IP6, 8000, socket.SOCK_STREAM)
    assert backend.clients == [GATEWAY]


def test_nothing_listens_in_the_container(lab: Lab) -> None:
    """The client is reset, as it would be without a proxy: no clean end, no wait."""
    lab.run_webapp("--name", "idle", "-p", "8000:7000")
    with pytest.raises(ConnectionResetError):  # as early as in connect(), or later
        with lab.client.connect(HOST_IP6, 8000) as session:
            session.recv(1)


def test_a_range_of_ports(lab: Lab) -> None:
    first, last = 9000, 9249
    lab.run_webapp("--name", "many", "-p", f"{first}-{last}:{first}-{last}")
    expected = [("tcp", ip, port) for ip in ["0.0.0.0", "::"] for port in range(first, last + 1)]
    assert lab.places() == expected
    net = lab.engine.container_net("many")
    for port in range(first, last + 1, 31):
        with TcpBackend(net, port):
            assert_echo(lab.host, "::1", port, socket.SOCK_STREAM)
            assert_echo(lab.client, HOST_IP6, port, socket.SOCK_STREAM)
    lab.docker("rm", "-f", "many")
    lab.engine.wait_for_no_proxy()
    assert "userland proxy" not in lab.engine.read_log()


def count_sockets(namespace: Namespace, state: str, port: int) -> int:
    words = ["ss", "-Hnt", "state", state, f"sport = :{port}"]
    return len(namespace.run(*words).splitlines())


def test_run_again_while_old_connections_are_left(lab: Lab) -> None:
    """Ends that the container began leave the proxy's side of them in TIME_WAIT."""

    def say_hello_and_end(session: socket.socket) -> None:
        session.sendall(b"hello")

    lab.run_webapp("--name", "first", "-p", "8000:7000", "-p", "8001:7001")
    net = lab.engine.container_net("first")
    held = []
    with TcpBackend(net, 7000, say_hello_and_end), TcpBackend(net, 7001):
        for address in ["::1", "127.0.0.1"]:
            with lab.host.connect(address, 8000) as session:
                assert session.recv(5) == b"hello" and session.recv(1) == b""
            held.append(lab.host.connect(address, 8001))
            assert exchange(held[-1], b"held") == b"held"
        wait_until(lambda: count_sockets(lab.host, "time-wait", 8000) >= 2, "TIME_WAIT is there")
    assert count_sockets(lab.host, "established", 8001) >= 2

    lab.docker("rm", "-f", "first")
    lab.run_webapp("--name", "second", "-p", "8000:7000", "-p", "8001:7001")
    assert count_sockets(lab.host, "time-wait", 8000) >= 2
    net = lab.engine.container_net("second")
    with TcpBackend(net, 7000), TcpBackend(net, 7001):
        for port in [8000, 8001]:
            for address in ["::1", "127.0.0.1"]:
                assert_echo(lab.host, address, port, socket.SOCK_STREAM)
    for session in held:
        with session:
            try:
                assert session.recv(1) == b""
            except ConnectionResetError:
                pass


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, UDP], ids=["tcp", "udp"])
@pytest.mark.parametrize("address", ["0.0.0.0", "::"], ids=["ipv4", "ipv6"])
def test_a_busy_port(lab: Lab, address: str, kind: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    published = "8000:80" + ("/udp" if kind == UDP else "")
    with lab.host.open_socket(family, kind) as busy:
        if kind != UDP:  # the last connections of another test may be left
            busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            busy.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        busy.bind((address, 8000))
        if kind != UDP:
            busy.listen()
        failed = lab.engine.try_docker("run", "-d", "--name", "late", "-p", published, "webapp")
        assert failed.returncode == 125
        assert re.search(r":8000\b.*: address already in use", failed.stderr), failed.stderr
        assert lab.engine.inspect("late", ".State.Running") == "false"
        lab.engine.wait_for_no_proxy()
    lab.docker("start", "late")
    lab.wait_for_webapp("late")
    proto = "udp" if kind == UDP else "tcp"
    assert lab.places() == [(proto, "0.0.0.0", 8000), (proto, "::", 8000)]
    if kind != UDP:
        assert f"Remote IP: {GATEWAY}" in curl(lab.client, f"http://[{HOST_IP6}]:8000/")


def test_the_client_outside_is_what_the_host_sees(lab: Lab) -> None:
    """The lab itself: a client that were not outside would prove nothing of all the above."""
    lab.run_webapp("--name", "web_1", "-p", "8080:80")
    with lab.client.connect(HOST_IP6, 8080) as session:
        port = session.getsockname()[1]
        sockets = lab.host.run("ss", "-Hnt", "state", "established", "sport = :8080")
    assert f"[{CLIENT_IP6}]:{port}" in sockets
