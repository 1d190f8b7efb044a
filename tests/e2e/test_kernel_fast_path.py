# SPDX-License-Identifier: Apache-2.0
"""Packets of the kernel path that do not pass FORWARD, since one of their connection has."""

import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.kernel_path import filters_of, forward_filter, publish, wait_until_carried
from lab.netns import HOST_IP6
from lab.site import BOX, GATEWAY, Site, SiteDaemon, Start, link_box
from lab.transfer import check_transfer
from lab.wait import wait_until

pytest_plugins = ["lab.site_fixtures"]
pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("forwarding")]

def fast_packets(daemon: SiteDaemon) -> int:
    metrics = daemon.call("GET", "/metrics")[1]
    found = re.search(r'kernel_events_total\{event="fast-path"\} (\d+)', metrics)
    return int(found[1]) if found else 0


def passes(client: socket.socket) -> bool:
    client.settimeout(0.1)
    try:
        client.send(b"question")
        return client.recv(100) == b"question"
    except TimeoutError:
        return False


@contextmanager
def on_the_fast_path(site: Site, daemon: SiteDaemon) -> Iterator[socket.socket]:
    """A client of UDP whose packets have taken it, and that has the same port all the time."""
    publish(daemon, "5353:53/udp")
    with (
        UdpBackend(site.box.net, 53),
        site.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client,
    ):
        assert exchange(client, b"question") == b"question"
        wait_until(lambda: passes(client) and fast_packets(daemon) > 0, "the fast path", 10)
        yield client


def pseudo_of_client(daemon: SiteDaemon) -> str:
    (shown,) = daemon.get("/v1/clients")["clients"]
    return shown["pseudo_ipv4"]


def test_most_packets_take_the_fast_path(site: Site, start: Start) -> None:
    daemon = start()
    publish(daemon, "8080:80")
    check_transfer(site.box.net, 80, lambda: site.connect(8080), 2_000_000, 2_000_000)
    rule = next(it for it in daemon.get("/v1/rules")["rules"] if it["host"].startswith("["))
    # what was sent again counts, too: links with a queue for each processor do not keep order
    assert 2_000_000 <= rule["counters"]["in_bytes"] < 3_000_000
    assert fast_packets(daemon) > 30
    assert filters_of(site, "box0") == ["container_link", "passed_forward"]


def test_a_rule_against_a_client_ends_what_is_open(site: Site, start: Start) -> None:
    """Within the time that a connection need not ask FORWARD again; and it may go on afterwards."""
    daemon = start(kernel_recheck="300ms")
    with on_the_fast_path(site, daemon) as client:
        with forward_filter(site, f"ip saddr {pseudo_of_client(daemon)} drop"):
            wait_until(lambda: not passes(client), "the rule to be asked", 5)
            before = fast_packets(daemon)
            assert not any(passes(client) for _ in range(10))
            assert fast_packets(daemon) == before
        wait_until(lambda: passes(client), "it to be let pass again", 5)


def test_it_can_be_switched_off(site: Site, start: Start) -> None:
    """A daemon that does not want it takes away what another has left for it."""
    daemon = start()
    publish(daemon, "8080:80")
    assert "passed_forward" in filters_of(site, "box0")
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait(20)
    daemon = start(kernel_recheck="0")
    wait_until_carried(daemon)
    with TcpBackend(site.box.net, 80), site.connect(8080) as session:
        for _ in range(10):
            assert exchange(session, b"x" * 100) == b"x" * 100
    assert filters_of(site, "box0") == ["container_link"]
    assert fast_packets(daemon) == 0


def test_a_container_that_has_another_link_address_is_found(site: Site, start: Start) -> None:
    """As one that was made anew has."""
    daemon = start(kernel_recheck="300ms")
    with on_the_fast_path(site, daemon) as client:
        link = re.search(r"dev (\S+)", site.box.run("ip", "route", "show", "default"))
        assert link
        site.box.run("ip", "link", "set", link[1], "address", "02:00:00:00:55:55")
        site.host.run("ip", "neigh", "flush", "to", BOX)
        before = fast_packets(daemon)
        wait_until(lambda: passes(client) and fast_packets(daemon) > before, "it to be found", 10)


def test_a_link_made_anew_is_found(site: Site, start: Start) -> None:
    """As that of a network that was removed and is there again; the client's port is the same."""
    daemon = start()
    with on_the_fast_path(site, daemon) as client:
        site.host.run("ip", "link", "del", "box0")
        link_box(site.host, site.box, "box0", GATEWAY, BOX)
        daemon.publish("9:9", "pseudo-ipv4", path="kernel")  # or within half a minute
        wait_until(lambda: passes(client), "it to be found", 10)


def test_rules_on_links_of_clients_hold(site: Site, start: Start) -> None:
    """The first packet of a client comes from another link, and FORWARD lets that pass."""
    daemon = start()
    publish(daemon, "8080:80")
    with (
        forward_filter(site, "iifname eth1 drop"),
        TcpBackend(site.box.net, 80),
        site.connect(8080) as session,
    ):
        session.settimeout(1)
        session.sendall(b"question")
        with pytest.raises(TimeoutError):
            session.recv(1)
    assert fast_packets(daemon) == 0


def test_a_lower_setting_holds_for_what_is_taken_over(site: Site, start: Start) -> None:
    daemon = start(kernel_recheck="1m")
    with on_the_fast_path(site, daemon) as client:
        pseudo = pseudo_of_client(daemon)
        daemon.kill()
        daemon = start(kernel_recheck="0")
        wait_until_carried(daemon)
        with forward_filter(site, f"ip saddr {pseudo} drop"):
            assert not any(passes(client) for _ in range(5))
        wait_until(lambda: passes(client), "it to be let pass again", 5)
