# SPDX-License-Identifier: Apache-2.0
"""fairlead and fairlead publish, as a user meets them: a host, a client outside, a container's
service on an address of the host's loopback."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.daemon import LIMIT_S
from lab.netns import HOST_IP4, HOST_IP6, Network
from lab.publish import FAIRLEAD, Publish
from lab.wait import wait_until

pytestmark = pytest.mark.timeout(120)

CONTAINER = "127.0.0.1"


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


Start = Callable[..., Publish]


@pytest.fixture
def publish(network: Network) -> Iterator[Start]:
    started: list[Publish] = []

    def start(*words: str, prefix: list[str] | None = None) -> Publish:
        started.append(Publish(network.host, *words, prefix=prefix))
        return started[-1]

    yield start
    for it in started:
        if it.process.poll() is None:
            it.kill()


def end(session: socket.socket) -> None:
    """Ends a session in order, and waits for the other end to do so too."""
    session.shutdown(socket.SHUT_WR)
    assert session.recv(1) == b""


def run(network: Network, *words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """A run that ends by itself: exit status, output, errors."""
    done = subprocess.run(
        [*network.host.enter, FAIRLEAD, *words],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stdout, done.stderr


def test_both_families_by_default_and_the_summary(network: Network, publish: Start) -> None:
    with TcpBackend(network.host.net, 80) as backend:
        it = publish("-p", "8080:80", CONTAINER)
        assert it.listening == [
            f"Listening on 0.0.0.0:8080/tcp -> {CONTAINER}:80",
            f"Listening on [::]:8080/tcp -> {CONTAINER}:80",
        ]
        for place, address in [
            (network.client, HOST_IP6),
            (network.client, HOST_IP4),
            (network.host, "::1"),
        ]:
            with place.connect(address, 8080) as session:
                assert exchange(session, b"0123456789") == b"0123456789"
                end(session)
        assert len(backend.clients) == 3
        summary = it.stop()
    assert summary == [
        "PUBLISHED CONTAINER SESSIONS IN OUT NOTES",
        f"0.0.0.0:8080/tcp {CONTAINER}:80 1 10B 10B",
        f"[::]:8080/tcp {CONTAINER}:80 2 20B 20B",
    ]


def test_one_address_and_a_range_of_several_protocols(network: Network, publish: Start) -> None:
    net = network.host.net
    with TcpBackend(net, 9001) as _, UdpBackend(net, 53) as _:
        it = publish(
            "-p", f"[{HOST_IP6}]:9000-9002:9000-9002", "--publish", "5353:53/udp", CONTAINER
        )
        assert it.listening == [
            f"Listening on [{HOST_IP6}]:9000-9002/tcp -> {CONTAINER}:9000-9002",
            f"Listening on 0.0.0.0:5353/udp -> {CONTAINER}:53",
            f"Listening on [::]:5353/udp -> {CONTAINER}:53",
        ]
        with network.client.connect(HOST_IP6, 9001) as session:
            assert exchange(session, b"tcp") == b"tcp"
            end(session)
        with network.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as session:
            assert exchange(session, b"udp") == b"udp"
        with pytest.raises(ConnectionRefusedError):
            network.host.connect("::1", 9001)
        summary = it.stop()
    assert f"[{HOST_IP6}]:9001/tcp {CONTAINER}:9001 1 3B 3B" in summary
    assert f"[::]:5353/udp {CONTAINER}:53 1 3B 3B" in summary
    assert summary[-1] == "3 other ports carried nothing"


def test_the_first_free_port_of_a_range(network: Network, publish: Start) -> None:
    first = publish("-p", "127.0.0.1:8000-8002:80", CONTAINER)
    second = publish("-p", "127.0.0.1:8000-8002:80", CONTAINER)
    assert first.listening == [f"Listening on 127.0.0.1:8000/tcp -> {CONTAINER}:80"]
    assert second.listening == [f"Listening on 127.0.0.1:8001/tcp -> {CONTAINER}:80"]
    assert first.stop() == ["1 port carried nothing"]
    third = publish("-p", "127.0.0.1:8000-8002:80", CONTAINER)
    assert third.listening == first.listening


def test_what_went_wrong_is_in_the_summary(network: Network, publish: Start) -> None:
    it = publish("-p", "127.0.0.1:8080:81", CONTAINER)
    with pytest.raises(ConnectionResetError):
        with network.host.connect("127.0.0.1", 8080) as session:
            session.recv(1)
    it.process.send_signal(signal.SIGINT)
    out, err = it.process.communicate(timeout=LIMIT_S)
    assert re.search(rf"127\.0\.0\.1:8080/tcp +{CONTAINER}:81 +1 .* 1 refused\n", out)
    assert "the container refused the connection" in err


def test_open_sessions_are_reset_at_the_end(network: Network, publish: Start) -> None:
    with TcpBackend(network.host.net, 80):
        it = publish("-p", "8080:80", CONTAINER)
        with network.client.connect(HOST_IP6, 8080) as session:
            assert exchange(session, b"here") == b"here"
            assert "1 stopped" in it.stop()[1]
            with pytest.raises(ConnectionResetError):
                session.recv(1)


def test_local_ports_run_out(network: Network, publish: Start) -> None:
    """
    Each connection to the container needs a local port. With all of them in use the client is
    reset, with that reason, and the next one has the port that is given back (moby#47537).
    """
    ports = Path("/proc/sys/net/ipv4/ip_local_port_range")
    set_range = ["nsenter", f"--net={network.host.net}", "sh", "-c"]
    before = subprocess.run([*set_range, f"cat {ports}"], capture_output=True, text=True).stdout
    subprocess.run([*set_range, f"echo 20000 20003 >{ports}"], check=True)
    try:
        with TcpBackend(network.host.net, 80):
            it = publish("-p", f"[{HOST_IP6}]:8080:80", CONTAINER)
            sessions = [network.client.connect(HOST_IP6, 8080) for _ in range(4)]
            for session in sessions:
                assert exchange(session, b"in") == b"in"
            with pytest.raises(ConnectionResetError):
                with network.client.connect(HOST_IP6, 8080) as session:
                    session.recv(1)
            for session in sessions:  # by a reset, after which nothing waits for the port
                session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                session.close()
            wait_until(lambda: serves(network), "a local port is free again")
            it.process.send_signal(signal.SIGINT)
            out, err = it.process.communicate(timeout=LIMIT_S)
    finally:
        subprocess.run([*set_range, f"echo {before.strip()} >{ports}"], check=True)
    assert re.search(r"\d no-source-port", out)
    assert "no local port is free for another connection to the container" in err
    assert it.process.returncode == 0


def serves(network: Network) -> bool:
    try:
        with network.client.connect(HOST_IP6, 8080) as session:
            return exchange(session, b"again") == b"again"
    except ConnectionResetError:
        return False


def test_as_an_ordinary_user(network: Network, publish: Start) -> None:
    """Needs no rights, but for ports that are the system's."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    with TcpBackend(network.host.net, 80):
        publish("-p", "8080:80", CONTAINER, prefix=nobody)
        with network.client.connect(HOST_IP6, 8080) as session:
            data = os.urandom(1 << 20)
            assert exchange_all(session, data) == data
    done = subprocess.run(
        [*network.host.enter, *nobody, FAIRLEAD, "publish", "-p", "80:80", CONTAINER],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 1
    assert "0.0.0.0:80: bind: permission denied" in done.stderr


def exchange_all(session: socket.socket, data: bytes) -> bytes:
    """As exchange, in pieces that always fit the buffers on the way."""
    answer = b""
    for start in range(0, len(data), 8192):
        answer += exchange(session, data[start : start + 8192])
    return answer


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([CONTAINER], "nothing to publish: give a port with -p, like -p 8080:80"),
        (["-p", "8080:80"], "the container's IP address is missing, like 172.17.0.2"),
        (["-p", "8080:80", "web_1"], "'web_1' is no IP address"),
        (["-p", "8080:80", CONTAINER, "172.17.0.3"], "more than one container address"),
        (["-p", "8080:80", "0.0.0.0"], "nothing can connect to '0.0.0.0'"),
        (["-p", "8080:80", "ff02::1"], "nothing can connect to 'ff02::1'"),
        (["-p", "8080:80", "fe80::1"], "name the interface, as in fe80::2%eth0"),
        (["-p", "80800:80", CONTAINER], "80800"),
        (["-p", "8080", CONTAINER], "8080"),
        (["-p", "8080:80/icmp", CONTAINER], "icmp"),
        (["-p", "8080-8081:80-82", CONTAINER], "8080-8081"),
        (["-p", "2001:db8::2:8080:80", CONTAINER], "2001:db8::2:8080:80"),
        (["--port", "8080:80", CONTAINER], "--port"),
        (["-x"], "x"),
        (["-p"], "p"),
    ],
)
def test_usage_errors(network: Network, words: list[str], sentence: str) -> None:
    status, out, err = run(network, "publish", *words)
    assert (status, out) == (2, "")
    assert sentence in err.splitlines()[0]
    assert err.startswith("fairlead publish: ")
    assert "fairlead publish --help" in err


def test_ports_that_cannot_be_had(network: Network, publish: Start) -> None:
    publish("-p", "127.0.0.1:8080-8081:80-81", CONTAINER)
    busy = run(network, "publish", "-p", "8082:80", "-p", "8080:80", CONTAINER)
    assert busy[:2] == (1, ""), "nothing is said to listen"
    assert re.match(
        r"fairlead publish: -p 8080:80: listen tcp4? 0\.0\.0\.0:8080: bind: address already in use",
        busy[2],
    )
    twice = run(network, "publish", "-p", "8082:80", "-p", "8082:81", CONTAINER)
    assert twice[0] == 1
    assert "-p 8082:81: port 8082/tcp is published by another -p already" in twice[2]
    taken = run(network, "publish", "-p", "127.0.0.1:8080-8081:80", CONTAINER)
    assert taken[0] == 1
    assert "every port from 8080 to 8081 is in use" in taken[2]
    foreign = run(network, "publish", "-p", "198.51.100.1:8080:80", CONTAINER)
    assert foreign[0] == 1
    assert "198.51.100.1:8080: bind: cannot assign requested address" in foreign[2]


def test_a_setting_that_is_not_allowed(network: Network) -> None:
    env = {"FAIRLEAD_CONNECT_TIMEOUT": "soon"}
    status, _, err = run(network, "publish", "-p", "8080:80", CONTAINER, env=env)
    assert status == 1
    assert "FAIRLEAD_CONNECT_TIMEOUT" in err
    assert "soon" in err
    assert len(err.splitlines()) == 1


def test_help_and_version(network: Network) -> None:
    status, out, err = run(network, "--help")
    assert (status, err) == (0, "")
    assert "publish" in out
    status, out, err = run(network, "--version")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"fairlead version \d+\.\d+\.\d+.*\n", out)
    status, out, err = run(network, "publish", "--help")
    assert (status, err) == (0, "")
    assert out.startswith("Usage:  fairlead publish")
    status, out, err = run(network, "unpublish")
    assert (status, out) == (2, "")
    assert "unpublish" in err.splitlines()[0]
