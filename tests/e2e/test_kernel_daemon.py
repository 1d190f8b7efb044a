# SPDX-License-Identifier: Apache-2.0
"""Rules of the daemon whose outside IPv6 clients the kernel carries."""

import json
import signal
import socket
import time
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange, read_all, tell_peer
from lab.daemon import ApiError
from lab.kernel_path import (
    filters_of,
    forward_filter,
    of_ours,
    publish,
    rule_of,
    set_forwarding,
)
from lab.netns import CLIENT_IP6, HOST_IP6
from lab.publish import FAIRLEAD
from lab.site import BOX, NEIGHBOUR_IP6, Site, SiteDaemon, Start
from lab.transfer import check_transfer
from lab.wait import wait_until

pytest_plugins = ["lab.site_fixtures"]
pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("forwarding")]


def sessions(daemon: SiteDaemon) -> list[dict]:
    return daemon.get("/v1/sessions")["sessions"]


def test_what_the_kernel_carries_is_shown(site: Site, start: Start, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    daemon = start(access_log=str(log))
    publish(daemon, "8080:80", name="web")
    with TcpBackend(site.box.net, 80) as backend, site.connect(8080) as session:
        assert exchange(session, b"x" * 1000) == b"x" * 1000
        (shown,) = sessions(daemon)
        pseudo = daemon.fairlead("whois", "-q", CLIENT_IP6).strip()
        assert backend.clients == [pseudo]
        assert (shown["path"], shown["name"], shown["state"]) == ("kernel", "web", "open")
        assert (shown["in_bytes"], shown["out_bytes"]) == (1000, 1000)
        assert shown["source"] == f"{pseudo}:{session.getsockname()[1]}"
        assert shown["host"] == f"[{HOST_IP6}]:8080" and shown["container"] == f"{BOX}:80"
        assert shown["in_packets"] >= 3 and shown["out_packets"] >= 2
        (client,) = daemon.get("/v1/clients")["clients"]
        assert (client["ip"], client["pseudo_ipv4"], client["in_bytes"]) == (CLIENT_IP6, pseudo, 1000)
        rule = rule_of(daemon)
        assert (rule["counters"]["open"], rule["counters"]["in_bytes"]) == (1, 1000)
        metrics = daemon.call("GET", "/metrics")[1]
        assert "fairlead_kernel_flows 1\n" in metrics
        assert 'fairlead_kernel_events_total{event="new-client"} 1\n' in metrics
        assert "kernel" in daemon.fairlead("ls").splitlines()[-1]
        assert daemon.fairlead("sessions", "--json").count('"kernel"') == 1
    wait_until(lambda: log.exists() and "path=kernel" in log.read_text(), "the line of the log", 10)
    (line,) = log.read_text().splitlines()
    assert f"{pseudo}:" in line and "in=1000 out=1000" in line and "end=done" in line
    assert sessions(daemon) == []
    counters = rule_of(daemon)["counters"]
    assert (counters["sessions"], counters["open"], counters["ended"]) == (1, 0, {"done": 1})


def test_rates_are_of_a_second_at_least(site: Site, start: Start) -> None:
    """However often somebody asks."""
    daemon = start()
    publish(daemon, "8080:80")
    with TcpBackend(site.box.net, 80), site.connect(8080) as session:
        assert exchange(session, b"x" * 1000) == b"x" * 1000
        first, second = (sessions(daemon)[0] for _ in range(2))
        assert second["in_bytes_s"] == first["in_bytes_s"] > 0
        time.sleep(1)
        assert sessions(daemon)[0]["in_bytes_s"] == 0


def test_datagrams_are_shown(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "5353:53/udp")
    with (
        UdpBackend(site.box.net, 53),
        site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client,
    ):
        for _ in range(5):
            assert exchange(client, b"question") == b"question"
        (shown,) = sessions(daemon)
        assert (shown["path"], shown["in_bytes"], shown["out_packets"]) == ("kernel", 40, 5)
        assert rule_of(daemon)["counters"]["in_datagrams"] == 5


def test_a_refused_connection_is_told_as_such(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "8080:80")
    with pytest.raises(ConnectionRefusedError):
        site.connect(8080)
    ended = lambda: rule_of(daemon)["counters"]["ended"]  # noqa: E731
    wait_until(lambda: ended() == {"refused": 1}, "the end to be seen", 10)


def test_the_relay_serves_who_is_on_the_host(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "8080:80")
    with TcpBackend(site.box.net, 80), site.host.connect("::1", 8080) as session:
        assert exchange(session, b"here") == b"here"
        (shown,) = sessions(daemon)
        assert (shown["path"], shown["client"].startswith("[::1]")) == ("relay", True)
    assert rule_of(daemon, "0.0.0.0")["carried_by"] == "relay"
    assert "for clients of IPv6" in rule_of(daemon, "0.0.0.0")["carried_why"]


def ask(site: Site, source: str) -> str:
    """The address that the box sees; raises where the client does not get through."""
    with site.connect(8080, source) as session:
        session.settimeout(5)
        answer = read_all(session).decode()
        if not answer:
            raise ConnectionResetError
        return answer.split()[0]


def is_let_in(site: Site, source: str) -> bool:
    try:
        return bool(ask(site, source))
    except ConnectionResetError:
        return False


@pytest.mark.parametrize("path", ["relay", "kernel"])
def test_who_may_come_can_be_changed(site: Site, start: Start, path: str) -> None:
    daemon = start()
    rule = {"container": BOX, "identity": "pseudo-ipv4", "path": path}

    def change(**more: object) -> None:
        daemon.request("PUT", f"/v1/rules/{rule_of(daemon)['id']}", {"container": f"{BOX}:80", **{
            key: value for key, value in {**rule, **more}.items() if key != "container"}})
        wait_until(lambda: rule_of(daemon)["carried_by"] == path, "the change", 10)

    daemon.request("POST", "/v1/rules", {"publish": "8080:80", **rule})
    expected = lambda: (is_let_in(site, CLIENT_IP6), is_let_in(site, NEIGHBOUR_IP6))  # noqa: E731
    with TcpBackend(site.box.net, 80, tell_peer):
        change()
        assert expected() == (True, True)
        for more, wanted in (
            ({"deny": CLIENT_IP6}, (False, True)),
            ({"allow": [CLIENT_IP6]}, (True, False)),
            ({"deny": "2001:db8::/32", "allow": [f"{NEIGHBOUR_IP6}/128"]}, (False, True)),
            ({"allow": "192.0.2.0/24"}, (False, False)),
            ({"deny": "::/0"}, (False, False)),
            ({}, (True, True)),
        ):
            change(**more)
            wait_until(lambda wanted=wanted: expected() == wanted, f"{more} to be in force", 10)
    ended = rule_of(daemon)["counters"]["ended"]
    assert ended["denied"] >= 6


def test_denied_datagrams_go_nowhere(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "5353:53/udp", deny=CLIENT_IP6)
    with UdpBackend(site.box.net, 53) as backend:
        for source, answers in ((CLIENT_IP6, False), (NEIGHBOUR_IP6, True)):
            with site.client.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                client.settimeout(1)
                client.bind((source, 0))
                client.connect((HOST_IP6, 5353))
                client.send(b"question")
                if answers:
                    assert client.recv(100) == b"question"
                else:
                    with pytest.raises(TimeoutError):
                        client.recv(100)
    assert len(backend.clients) == 1


def test_an_administrator_ends_a_session(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "8080:80")
    with TcpBackend(site.box.net, 80), site.connect(8080) as session:
        assert exchange(session, b"one") == b"one"
        (shown,) = sessions(daemon)
        daemon.request("DELETE", f"/v1/sessions/{shown['id']}")
        assert sessions(daemon) == []
        session.send(b"two")
        with pytest.raises(ConnectionResetError):
            session.recv(10)
        with pytest.raises(ApiError, match="there is no session"):
            daemon.request("DELETE", f"/v1/sessions/{shown['id']}")
        with site.connect(8080) as again:
            assert exchange(again, b"three") == b"three"
    assert rule_of(daemon)["counters"]["ended"]["administrative"] == 1


def test_sessions_end_with_their_rule(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "8080:80")
    with TcpBackend(site.box.net, 80), site.connect(8080) as session:
        assert exchange(session, b"one") == b"one"
        daemon.request("PUT", "/v1/rules", [])
        wait_until(lambda: filters_of(site, "eth1") == [], "the filter to go", 10)
        session.send(b"two")
        with pytest.raises(ConnectionResetError):
            session.recv(10)
    wait_until(lambda: "fairlead0" not in of_ours(site), "the pair of links to go", 10)


@contextmanager
def traffic(site: Site, seconds: float) -> Iterator[None]:
    """A connection that asks again and again meanwhile; what it gets has to be right to its end."""
    failed: list[Exception] = []
    ending = threading.Event()
    session = site.connect(8080)

    def run() -> None:
        try:
            session.settimeout(10)
            count = 0
            while not ending.is_set():
                count += 1
                question = (b"%d " % count) * 500
                assert exchange(session, question) == question
            assert count > 10
        except Exception as error:  # noqa: BLE001: told by the test's thread
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        ending.wait(seconds)
        yield
        ending.wait(seconds)
    finally:
        ending.set()
        thread.join(30)
        session.close()
    assert not failed, failed


def end_by(daemon: SiteDaemon, how: signal.Signals) -> None:
    daemon.process.send_signal(how)
    daemon.process.wait(20)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGUSR2])
def test_connections_survive_a_restart(site: Site, start: Start, how: signal.Signals) -> None:
    daemon = start()
    publish(daemon, "8080:80")
    with TcpBackend(site.box.net, 80):
        with traffic(site, 0.5):
            before = [found for found in sorted(of_ours(site)) if "local" not in found]
            end_by(daemon, how)
            threading.Event().wait(1)
            assert set(before) - {"table ip fairlead"} <= set(of_ours(site))
            daemon.start()
            wait_until(lambda: rule_of(daemon)["carried_by"] == "kernel", "the kernel", 10)
            (shown,) = sessions(daemon)
            assert (shown["path"], shown["client"].startswith(f"[{CLIENT_IP6}]")) == ("kernel", True)
            after = [found for found in sorted(of_ours(site)) if "local" not in found]
            assert after == before
        # its client has the address that it had, and it is ended as any other
        wait_until(lambda: sessions(daemon) == [], "the end to be seen", 10)
        with site.connect(8080) as session:
            assert exchange(session, b"new") == b"new"
    assert set(rule_of(daemon)["counters"]["ended"]) == {"done"}


def test_a_reload_disturbs_nobody(site: Site, start: Start) -> None:
    daemon = start()
    rule = {"publish": "8080:80", "container": BOX, "identity": "pseudo-ipv4", "path": "kernel"}
    daemon.write_rules([rule])
    daemon.request("POST", "/v1/reload")
    wait_until(lambda: rule_of(daemon)["carried_by"] == "kernel", "the kernel", 10)
    with TcpBackend(site.box.net, 80), traffic(site, 0.3):
        for i in range(10):
            more = {**rule, "publish": f"{9000 + i}:80"}
            daemon.write_rules([{**rule, "name": f"name{i}"}, more])
            daemon.request("POST", "/v1/reload")
            threading.Event().wait(0.1)
        assert len(sessions(daemon)) == 1
        assert filters_of(site, "eth1") == ["uplink_ether"]


def test_nothing_is_left_at_the_end(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "8080:80")
    assert "uplink_ether" in of_ours(site)
    with TcpBackend(site.box.net, 80), site.connect(8080) as session:
        assert exchange(session, b"one") == b"one"
        threading.Timer(1, session.shutdown, [socket.SHUT_WR]).start()
        assert daemon.stop() == 0  # which gives sessions some time
    assert of_ours(site) == []


def test_cleanup_takes_away_what_a_kill_has_left(site: Site, start: Start, pins: Path) -> None:
    daemon = start()
    publish(daemon, "8080:80")
    daemon.kill()
    assert (pins / "flows6").exists() and of_ours(site)
    done = subprocess.run(
        [*site.host.enter, *daemon.command("--cleanup")], capture_output=True, text=True, check=True
    )
    assert "Removed what was left" in done.stdout
    assert set(of_ours(site)) <= {"clsact"} and not pins.exists()


def test_auto_respects_filters_of_ipv6(site: Site, start: Start) -> None:
    daemon = start()
    site.host.run("nft", "add table ip6 filter")
    site.host.run("nft", "add chain ip6 filter INPUT { type filter hook input priority 0; }")
    try:
        publish(daemon, "8080:80", path="auto")  # an empty chain filters nothing
        site.host.run("nft", "add rule ip6 filter INPUT tcp dport 8080 drop")
        daemon.publish("8081:80", "pseudo-ipv4", path="auto")
        wait_until(lambda: rule_of(daemon)["carried_by"] == "relay", "the relay", 10)
        assert "ip6 filter INPUT" in rule_of(daemon)["carried_why"]
        said = daemon.fairlead("ls")
        assert "carried by the relay: this host filters IPv6 in the chain ip6 filter INPUT" in said
    finally:
        site.host.run("nft", "delete table ip6 filter")
    daemon.publish("8082:80", "pseudo-ipv4", path="auto")
    wait_until(lambda: rule_of(daemon)["carried_by"] == "kernel", "the kernel again", 10)


def test_auto_takes_the_relay_where_nothing_answers(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "8080:80", path="auto")
    with forward_filter(site, policy="drop"), TcpBackend(site.box.net, 80):
        made = [site.client.open_socket(socket.AF_INET6, socket.SOCK_STREAM) for _ in range(4)]
        for each in made:
            each.setblocking(False)
            each.connect_ex((HOST_IP6, 8080))
        wait_until(lambda: rule_of(daemon)["carried_by"] == "relay", "the relay", 15)
        for each in made:  # whose next SYN gets there; they come after 1, 3, 7, 15 and 31 seconds
            each.settimeout(20)
            assert exchange(each, b"late") == b"late"
            each.close()
    assert "got no answer" in rule_of(daemon)["carried_why"]


def test_a_host_without_forwarding_has_the_relay(site: Site, start: Start) -> None:
    daemon = start()
    set_forwarding(site, 0)
    daemon.publish("8080:80", "pseudo-ipv4", path="kernel")
    said = "is carried by the relay: the kernel path needs this host to forward IPv4"
    wait_until(lambda: said in daemon.log.read_text(), "the sentence", 10)
    with TcpBackend(site.box.net, 80, tell_peer):
        assert ask(site, CLIENT_IP6)
    set_forwarding(site, 1)


def test_strict_checks_of_sources_are_seen(site: Site, start: Start) -> None:
    daemon = start()
    site.host.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/eth1/rp_filter")
    try:
        daemon.publish("8080:80", "pseudo-ipv4", path="kernel")
        said = "is carried by the relay: the link eth1 drops"
        wait_until(lambda: said in daemon.log.read_text(), "the sentence", 10)
        with TcpBackend(site.box.net, 80, tell_peer):
            assert ask(site, CLIENT_IP6)
            site.host.run("sh", "-c", "echo 2 >/proc/sys/net/ipv4/conf/eth1/rp_filter")
            publish(daemon, "8081:80")  # and all are looked at again
            assert ask(site, NEIGHBOUR_IP6)
        assert rule_of(daemon)["carried_by"] == "kernel"
    finally:
        site.host.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/eth1/rp_filter")


def test_every_byte_is_right(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "8080:80")
    check_transfer(site.box.net, 80, lambda: site.connect(8080), 20_000_000, 20_000_000)
    sessions(daemon)  # which looks at the flows as they are now
    counters = rule_of(daemon)["counters"]
    assert counters["in_bytes"] >= 20_000_000 and counters["out_bytes"] >= 20_000_000


def test_the_identity_has_to_be_pseudo_ipv4(start: Start) -> None:
    daemon = start()
    with pytest.raises(ApiError, match="path: kernel shows clients by their addresses alone"):
        daemon.publish("8080:80", "http", path="kernel")
    assert json.loads(daemon.fairlead("ls", "--json")) == []


def test_who_publishes_is_told_who_carries(site: Site, start: Start) -> None:
    daemon = start()

    def say(port: int) -> str:
        words = [FAIRLEAD, "publish", "-d", "--socket", daemon.socket, "-p", f"{port}:80"]
        words += ["--identity", "pseudo-ipv4", "--path", "kernel", BOX]
        done = subprocess.run([*site.host.enter, *words], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and done.stdout.count("Listening on") == 2
        return done.stderr

    assert say(8080) == ""
    set_forwarding(site, 0)
    assert say(8081) == (
        "[::]:8081/tcp is carried by the relay: the kernel path needs this host to forward IPv4: "
        "set net.ipv4.ip_forward=1 with sysctl(8)\n"
    )
