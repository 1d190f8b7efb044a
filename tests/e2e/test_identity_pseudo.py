# SPDX-License-Identifier: Apache-2.0
"""pseudo-ipv4: each client has an IPv4 address of its own, and can be looked up."""

import json
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange, read_all, tell_peer
from lab.daemon import ApiError, Daemon
from lab.netns import CLIENT_IP6, HOST_IP6, open_socket_in
from lab.publish import Publish
from lab.site import BOX, GATEWAY, NEIGHBOUR_IP6, Site, SiteDaemon

pytest_plugins = ["lab.site_fixtures"]
pytestmark = pytest.mark.timeout(120)


def seen_by(site: Site, port: int, source: str) -> tuple[str, int, int]:
    """Address and port that the container sees, and the client's own port."""
    with site.connect(port, source) as session:
        own = session.getsockname()[1]
        ip, number = read_all(session).decode().split()
    return ip, int(number), own


def test_each_client_has_an_address_of_its_own(site: Site, site_daemon: SiteDaemon) -> None:
    site_daemon.publish("8080:80", "pseudo-ipv4")
    with TcpBackend(site.box.net, 80, tell_peer):
        first, number, own = seen_by(site, 8080, CLIENT_IP6)
        second, _, _ = seen_by(site, 8080, NEIGHBOUR_IP6)
        again, _, _ = seen_by(site, 8080, CLIENT_IP6)
    assert number == own
    assert first == again != second
    assert {int(ip.split(".")[0]) // 16 for ip in (first, second)} == {15}
    assert site_daemon.fairlead("whois", "-q", first) == f"{CLIENT_IP6}\n"
    assert site_daemon.fairlead("whois", "-q", NEIGHBOUR_IP6) == f"{second}\n"
    assert site_daemon.fairlead("whois").count("\n") == 3
    answer = site_daemon.get(f"/v1/whois/{first}")
    assert (answer["client"], answer["current"]) == (CLIENT_IP6, True)


def test_udp_clients_have_them_too(site: Site, site_daemon: SiteDaemon) -> None:
    site_daemon.publish("5353:53/udp", "pseudo-ipv4")
    backend = open_socket_in(site.box.net, socket.AF_INET, socket.SOCK_DGRAM)
    client = site.client.open_socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with backend, client:
        backend.bind(("0.0.0.0", 53))
        for each in (backend, client):
            each.settimeout(10)
        client.bind((CLIENT_IP6, 0))
        client.sendto(b"question", (HOST_IP6, 5353))
        data, peer = backend.recvfrom(100)
        assert data == b"question"
        assert site_daemon.get(f"/v1/whois/{peer[0]}")["client"] == CLIENT_IP6
        # two fragments, of which the second has no port in it
        backend.sendto(b"a" * 2000, peer)
        assert client.recv(4000) == b"a" * 2000


def test_addresses_survive_a_kill(site: Site, site_daemon: SiteDaemon) -> None:
    site_daemon.publish("8080:80", "pseudo-ipv4")
    with TcpBackend(site.box.net, 80, tell_peer):
        before = [seen_by(site, 8080, ip)[0] for ip in (CLIENT_IP6, NEIGHBOUR_IP6)]
        site_daemon.kill()
        site_daemon.start()
        after = [seen_by(site, 8080, ip)[0] for ip in (NEIGHBOUR_IP6, CLIENT_IP6)]
    assert before == after[::-1]
    routes = site.host.run("ip", "-4", "route", "show", "table", "local", "proto", "70")
    assert routes.count("240.0.0.0/5") == 1


def left_of(site: Site) -> str:
    """Routes and tables that were set for pseudo-IPv4 addresses."""
    routes = site.host.run("ip", "-4", "route", "show", "table", "local", "proto", "70")
    return routes + site.host.run("nft", "list", "tables")


def test_route_and_guard_go_with_the_daemon(site: Site, site_daemon: SiteDaemon) -> None:
    assert left_of(site) == ""
    site_daemon.publish("8080:80", "pseudo-ipv4")
    assert "240.0.0.0/5" in left_of(site) and "fairlead" in left_of(site)
    assert site_daemon.stop() == 0
    assert left_of(site) == ""


def test_in_the_foreground_with_a_store_of_its_own(site: Site) -> None:
    it = Publish(site.host, "-p", "8080:80", "--identity", "pseudo-ipv4", BOX)
    try:
        with TcpBackend(site.box.net, 80, tell_peer):
            first, number, own = seen_by(site, 8080, CLIENT_IP6)
            second, _, _ = seen_by(site, 8080, NEIGHBOUR_IP6)
            assert seen_by(site, 8080, CLIENT_IP6)[0] == first != second
        assert number == own
        assert {int(ip.split(".")[0]) // 16 for ip in (first, second)} == {15}
        assert "240.0.0.0/5" in left_of(site)
    finally:
        it.stop()
    assert left_of(site) == ""


def test_pool_is_no_way_to_services_of_the_host(site: Site, site_daemon: SiteDaemon) -> None:
    site_daemon.publish("8080:80", "pseudo-ipv4")
    with TcpBackend(site.host.net, 2222), UdpBackend(site.host.net, 2223):
        with site.box.open_socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            probe.connect((GATEWAY, 2222))
        for kind, port in ((socket.SOCK_STREAM, 2222), (socket.SOCK_DGRAM, 2223)):
            with site.box.open_socket(socket.AF_INET, kind) as probe:
                probe.settimeout(1)
                with pytest.raises(OSError):
                    probe.connect(("240.1.2.3", port))
                    probe.send(b"hello")
                    probe.recv(10)


def test_who_had_an_address_is_known_without_a_rule(site: Site, site_daemon: SiteDaemon) -> None:
    """After a restart, when nobody wants such addresses any more."""
    with pytest.raises(ApiError, match="no rule has had identity pseudo-ipv4"):
        site_daemon.get("/v1/whois/240.1.2.3")
    site_daemon.publish("8080:80", "pseudo-ipv4")
    with TcpBackend(site.box.net, 80, tell_peer):
        pseudo = seen_by(site, 8080, CLIENT_IP6)[0]
    site_daemon.request("PUT", "/v1/rules", [])
    site_daemon.stop()
    site_daemon.start()
    assert site_daemon.fairlead("whois", "-q", pseudo) == f"{CLIENT_IP6}\n"
    assert site_daemon.get(f"/v1/whois/{CLIENT_IP6}")["pseudo_ipv4"] == pseudo
    assert left_of(site) == ""
    with pytest.raises(ApiError, match="2001:db8::abc has no pseudo-IPv4 address now; ask"):
        site_daemon.get("/v1/whois/2001:db8::abc")
    site_daemon.publish("8080:80", "pseudo-ipv4")
    with TcpBackend(site.box.net, 80, tell_peer):
        assert seen_by(site, 8080, CLIENT_IP6)[0] == pseudo


def test_a_store_is_one_daemons(site: Site, site_daemon: SiteDaemon, tmp_path: Path) -> None:
    site_daemon.publish("8080:80", "pseudo-ipv4")
    folder = tmp_path / "other"
    folder.mkdir()
    settings = {"pseudo_store": site_daemon.daemon["pseudo_store"]}
    other = Daemon(folder, enter=site.host.enter, daemon=settings)
    try:
        assert "is another process's: end that, or use another" in other.log.read_text()
    finally:
        other.stop()


def test_full_pool_refuses_with_a_reason(site: Site, tmp_path: Path) -> None:
    daemon = SiteDaemon(site, tmp_path, pseudo_pool="198.18.0.0/29")
    clients = [CLIENT_IP6.rpartition(":")[0] + f":{last:x}" for last in range(0x200, 0x206)]
    try:
        daemon.publish("8080:80", "pseudo-ipv4")
        with TcpBackend(site.box.net, 80):
            held = []
            for ip in clients:
                site.add_client(ip)
                held.append(site.connect(8080, ip))
                assert exchange(held[-1], b"hello") == b"hello"
            # the reset may be there before connect(2) has returned
            with pytest.raises(ConnectionResetError), site.connect(8080) as refused:
                refused.recv(1)
            for session in held:
                assert exchange(session, b"still here") == b"still here"
                session.close()
        assert "pool-full" in json.dumps(daemon.get("/v1/stats"))
    finally:
        daemon.stop()


def test_container_with_another_default_route_is_told(site: Site, site_daemon: SiteDaemon) -> None:
    site.box.run("ip", "route", "del", "default")
    try:
        with pytest.raises(ApiError, match="default route is not this host|cannot answer") as told:
            site_daemon.publish("8080:80", "pseudo-ipv4")
        assert told.value.status == 409
        assert site_daemon.get("/v1/rules")["rules"] == []
    finally:
        site.box.run("ip", "route", "add", "default", "via", GATEWAY)
    site_daemon.publish("8080:80", "pseudo-ipv4")


def test_one_client_can_be_banned_and_not_its_neighbour(site: Site, site_daemon: SiteDaemon) -> None:
    site_daemon.publish("8080:80", "pseudo-ipv4")
    with TcpBackend(site.box.net, 80, tell_peer):
        banned = seen_by(site, 8080, CLIENT_IP6)[0]
        site.box.run("nft", "add table ip bans")
        hook = "{ type filter hook input priority 0 ; }"
        site.box.run("nft", f"add chain ip bans input {hook}")
        ban = f"ip saddr {banned} meta l4proto tcp reject with tcp reset"
        site.box.run("nft", f"add rule ip bans input {ban}")
        try:
            with pytest.raises(ConnectionResetError), site.connect(8080) as session:
                session.recv(1)
            assert seen_by(site, 8080, NEIGHBOUR_IP6)[0] != banned
        finally:
            site.box.run("nft", "delete table ip bans")
