# SPDX-License-Identifier: Apache-2.0
"""Ports that real Docker Engines publish, served by fairleadd."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.daemon import Daemon
from lab.lab import Lab, curl
from lab.netns import CLIENT_IP6, HOST_IP4, HOST_IP6
from lab.wait import wait_until

pytest_plugins = ["lab.fixtures"]
pytestmark = pytest.mark.timeout(300)


def start_daemon(lab: Lab, **settings: str) -> Daemon:
    """On the engine's host, where the engine's proxies look for it."""
    folder = lab.engine.work / "fairleadd"
    folder.mkdir(exist_ok=True)
    (folder / "rules.json").unlink(missing_ok=True)  # of another test's rules
    made = Daemon(folder, enter=lab.host.enter, daemon=settings)
    lab.engine.stop()
    lab.engine.start(env={"FAIRLEAD_HANDOVER": str(made.drop_in_socket)})
    return made


@pytest.fixture
def daemon(lab: Lab) -> Iterator[Daemon]:
    made = start_daemon(lab)
    yield made
    made.kill()


@pytest.fixture
def pseudo_daemon(lab: Lab) -> Iterator[Daemon]:
    made = start_daemon(lab, drop_in_identity="pseudo-ipv4", pseudo_store="off")
    yield made
    made.stop()


@pytest.fixture
def kernel_daemon(lab: Lab) -> Iterator[Daemon]:
    settings = {"drop_in_identity": "pseudo-ipv4", "drop_in_path": "kernel"}
    made = start_daemon(lab, **settings, pseudo_store="off", kernel_pins="off")
    yield made
    made.stop()
    assert "fairlead" not in lab.host.run("ip", "link")


def rules(daemon: Daemon) -> list[tuple[str, str, str]]:
    found = daemon.get("/v1/rules")["rules"]
    return sorted((it["protocol"], it["host"], it["container"]) for it in found)


def wait_for_rules(daemon: Daemon, *expected: tuple[str, str, str]) -> None:
    wait_until(lambda: rules(daemon) == sorted(expected), "the ports are handed over")


def sessions(daemon: Daemon) -> int:
    return daemon.get("/v1/stats")["counters"]["sessions"]


def test_ports_of_containers_are_served_by_the_daemon(lab: Lab, daemon: Daemon) -> None:
    container = lab.run_webapp("--name", "web_1", "-p", "8080:80", "-p", "127.0.0.1:8081:80")
    address = lab.engine.inspect("web_1", ".NetworkSettings.IPAddress") or "172.17.0.2"
    wait_for_rules(
        daemon,
        ("tcp", "0.0.0.0:8080", f"{address}:80"),
        ("tcp", "[::]:8080", f"{address}:80"),
        ("tcp", "127.0.0.1:8081", f"{address}:80"),
    )
    page = f"Hostname: {container[:12]}\nRemote IP: 172.17.0.1\n"
    before = sessions(daemon)
    assert curl(lab.client, f"http://[{HOST_IP6}]:8080/") == page
    assert curl(lab.host, "http://[::1]:8080/") == page
    assert sessions(daemon) == before + 2
    # What the engine's own rules carry does not come by.
    assert curl(lab.client, f"http://{HOST_IP4}:8080/").startswith("Hostname")
    assert sessions(daemon) == before + 2

    daemon.kill()
    assert curl(lab.client, f"http://[{HOST_IP6}]:8080/") == page
    daemon.start()
    wait_until(lambda: len(rules(daemon)) == 3, "the ports are handed over again")
    assert curl(lab.client, f"http://[{HOST_IP6}]:8080/") == page
    assert sessions(daemon) == 1

    lab.docker("restart", "--time", "5", "web_1")
    lab.wait_for_webapp("web_1")
    wait_until(lambda: len(rules(daemon)) == 3, "the ports are handed over once more")
    assert curl(lab.client, f"http://[{HOST_IP6}]:8080/") == page
    lab.docker("rm", "--force", "web_1")
    wait_for_rules(daemon)


def test_many_ports_are_handed_over(lab: Lab, daemon: Daemon) -> None:
    """Fifty in both families; bench/ports.py has a thousand."""
    lab.run_webapp("--name", "many", "-p", "20000-20049:20000-20049", "-p", "8080:80")
    wait_until(lambda: len(rules(daemon)) == 102, "the ports are handed over")
    assert curl(lab.client, f"http://[{HOST_IP6}]:8080/").startswith("Hostname")
    lab.docker("rm", "--force", "many")
    wait_for_rules(daemon)


def test_udp_ports_are_handed_over(lab: Lab, daemon: Daemon) -> None:
    lab.run_webapp("--name", "dns", "-p", "5353:53/udp")
    wait_until(lambda: len(rules(daemon)) == 2, "the ports are handed over")
    with lab.engine.container("dns").open_socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", 53))
        with lab.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as client:
            client.send(b"question")
            said, source = server.recvfrom(100)
            server.sendto(b"answer to " + said, source)
            assert client.recv(100) == b"answer to question"
    assert sessions(daemon) == 1
    shown = daemon.get("/v1/sessions")["sessions"][0]
    assert (shown["protocol"], shown["in_bytes"], shown["out_bytes"]) == ("udp", 8, 18)
    assert shown["source"] == f"{source[0]}:{source[1]}"


def test_containers_see_who_is_calling(lab: Lab, pseudo_daemon: Daemon) -> None:
    """On the default bridge, and on a network of the user's."""
    lab.docker("network", "create", "mine")
    for name, port, network in (("plain", "8080", "bridge"), ("other", "8081", "mine")):
        container = lab.run_webapp("--name", name, "--network", network, "-p", f"{port}:80")
        wait_until(lambda: len(rules(pseudo_daemon)) == 2, "the ports are handed over")
        page = curl(lab.client, f"http://[{HOST_IP6}]:{port}/")
        host, remote = page.splitlines()
        assert host == f"Hostname: {container[:12]}"
        pseudo = remote.removeprefix("Remote IP: ")
        assert int(pseudo.split(".")[0]) >= 240
        assert pseudo_daemon.get(f"/v1/whois/{pseudo}")["client"] == CLIENT_IP6
        assert curl(lab.host, f"http://[::1]:{port}/").startswith("Hostname")
        lab.docker("rm", "--force", name)
        wait_for_rules(pseudo_daemon)
    lab.docker("network", "rm", "mine")


def test_engine_without_proxies_does_not_hide_clients(lab: Lab, pseudo_daemon: Daemon) -> None:
    """It masquerades what comes from addresses of the host, as those of the pool are."""
    lab.engine.stop()
    lab.engine.start("--userland-proxy=false")
    lab.run_webapp("--name", "plain")
    address = lab.engine.inspect("plain", ".NetworkSettings.IPAddress") or "172.17.0.2"
    assert "masquerade" in lab.host.run("iptables-save", "-t", "nat").lower()
    rule = {"publish": "8080:80", "container": address, "identity": "pseudo-ipv4"}
    pseudo_daemon.request("POST", "/v1/rules", rule)
    remote = curl(lab.client, f"http://[{HOST_IP6}]:8080/").splitlines()[1]
    pseudo = remote.removeprefix("Remote IP: ")
    assert pseudo_daemon.get(f"/v1/whois/{pseudo}")["client"] == CLIENT_IP6


def by_kernel(daemon: Daemon) -> list[str]:
    found = daemon.get("/v1/rules")["rules"]
    return [it["host"] for it in found if it["carried_by"] == "kernel"]


def test_the_kernel_carries_ports_of_an_engine(lab: Lab, kernel_daemon: Daemon) -> None:
    """On both kinds of networks; and rules of the engine's user keep out whom they name."""
    lab.docker("network", "create", "mine")
    for name, port, network in (("plain", "8080", "bridge"), ("other", "8081", "mine")):
        url = f"http://[{HOST_IP6}]:{port}/"
        lab.run_webapp("--name", name, "--network", network, "-p", f"{port}:80")
        wait_until(lambda port=port: by_kernel(kernel_daemon) == [f"[::]:{port}"], "the kernel", 15)
        pseudo = curl(lab.client, url).splitlines()[1].removeprefix("Remote IP: ")
        assert kernel_daemon.get(f"/v1/whois/{pseudo}")["client"] == CLIENT_IP6
        assert "fairlead_kernel_packets_total" in kernel_daemon.call("GET", "/metrics")[1]
        assert curl(lab.host, f"http://[::1]:{port}/").startswith("Hostname")
        rule = ["DOCKER-USER", "-s", pseudo, "-p", "tcp", "-j", "DROP"]
        lab.host.run("iptables", "-I", *rule)
        try:
            assert lab.client.run("curl", "-s", "-m", "2", url, check=False) == ""
        finally:
            lab.host.run("iptables", "-D", *rule)
        assert curl(lab.client, url).startswith("Hostname")
        lab.docker("rm", "--force", name)
        wait_for_rules(kernel_daemon)
    lab.docker("network", "rm", "mine")
