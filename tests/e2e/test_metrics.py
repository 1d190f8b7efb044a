# SPDX-License-Identifier: Apache-2.0
"""The metrics of the daemon: as Prometheus wants them, and true."""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.daemon import Daemon
from lab.netns import HOST_IP6, Network
from lab.wait import wait_until

pytestmark = pytest.mark.timeout(120)

RULES = [
    {"publish": "8080:80", "container": "127.0.0.1", "name": "web"},
    {"publish": "[::]:2525:25", "container": "127.0.0.1", "name": "mail"},
    {"publish": "[::]:5353:53/udp", "container": "127.0.0.1", "name": "dns"},
]
Samples = dict[str, float]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, rules=RULES, enter=network.host.enter)
    yield made
    made.kill()


def metrics(daemon: Daemon) -> str:
    status, text = daemon.call("GET", "/metrics")
    assert status == 200
    return text


def samples(daemon: Daemon) -> Samples:
    """Each series with its value; names without fairlead_."""
    rows = re.findall(r"^fairlead_(\S+(?:\{.*\})?) (\S+)$", metrics(daemon), re.M)
    return {name: float(value) for name, value in rows}


def series(metric: str, rule: tuple[str, ...], **more: str) -> str:
    labels = dict(zip(("listen", "protocol", "container", "name"), rule)) | more
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


WEB = ("[::]:8080", "tcp", "127.0.0.1:80", "web")
MAIL = ("[::]:2525", "tcp", "127.0.0.1:25", "mail")
DNS = ("[::]:5353", "udp", "127.0.0.1:53", "dns")


def use_all(network: Network) -> None:
    client = network.client
    for _ in range(3):
        with client.connect(HOST_IP6, 8080) as session:
            assert exchange(session, b"question") == b"question"
    with client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as session:
        assert exchange(session, b"question") == b"question"
    with pytest.raises(ConnectionResetError), client.connect(HOST_IP6, 2525) as refused:
        refused.recv(1)


@pytest.fixture
def used(network: Network, daemon: Daemon) -> Iterator[Samples]:
    with TcpBackend(network.host.net, 80), UdpBackend(network.host.net, 53):
        use_all(network)
        ended = series("sessions_ended_total", WEB, reason="done")
        wait_until(lambda: samples(daemon).get(ended) == 3, "the sessions have ended")
        yield samples(daemon)


def test_counters_are_true(used: Samples) -> None:
    assert used[series("sessions_total", WEB)] == 3
    assert used[series("sessions_open", WEB)] == 0
    for way in ("in", "out"):
        assert used[series("bytes_total", WEB, direction=way)] == 24
        assert used[series("bytes_total", DNS, direction=way)] == 8
        assert used[series("datagrams_total", DNS, direction=way)] == 1
    assert used[series("sessions_open", DNS)] == 1
    assert used[series("sessions_ended_total", MAIL, reason="refused")] == 1
    assert used[series("sessions_ended_total", MAIL, reason="done")] == 0
    # one that nobody has used has its name alone
    idle = ("0.0.0.0:8080", *WEB[1:])
    assert series("sessions_total", idle) not in used
    assert used[series("rule_info", idle, origin="file")] == 1


@pytest.mark.parametrize(
    ("name", "rule", "count"),
    [
        ("connect_duration_seconds", WEB, 3),
        ("session_duration_seconds", WEB, 3),
        ("session_duration_seconds", MAIL, 1),
        ("connect_duration_seconds", MAIL, 0),
    ],
)
def test_histograms_are_sound(used: Samples, name: str, rule: tuple, count: int) -> None:
    prefix = series(f"{name}_bucket", rule, le="")[:-2]
    buckets = [value for key, value in used.items() if key.startswith(prefix)]
    assert len(buckets) > 5
    assert buckets == sorted(buckets) and buckets[-1] == count
    assert used[series(f"{name}_count", rule)] == count
    assert (used[series(f"{name}_sum", rule)] > 0) == (count > 0)


def test_values_rise_while_a_session_is_open(network: Network, daemon: Daemon) -> None:
    key = series("bytes_total", WEB, direction="in")
    with TcpBackend(network.host.net, 80), network.client.connect(HOST_IP6, 8080) as session:
        for total in (10_000, 20_000):
            assert exchange(session, bytes(10_000)) == bytes(10_000)
            assert samples(daemon)[key] == total


def test_promtool_has_nothing_to_say(daemon: Daemon, used: Samples) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed: the Debian package prometheus")
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=metrics(daemon),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_many_rules_are_few_lines(network: Network, tmp_path: Path) -> None:
    rules = [{"publish": "[::]:20000-21999:20000-21999", "container": "172.17.0.2"}]
    daemon = Daemon(tmp_path, rules=rules, enter=network.host.enter)
    try:
        text = metrics(daemon)
        assert text.count("fairlead_rule_info{") == 2000
        assert len(text) < 500_000
        assert len(text.splitlines()) < 2100
    finally:
        daemon.kill()
