# SPDX-License-Identifier: Apache-2.0
"""The kernel path to containers of real Docker Engines, whose own rules stay what they are."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.kernel_path import is_by_kernel_alone
from lab.lab import Lab, curl
from lab.netns import HOST_IP6
from lab.publish import Publish
from lab.wait import wait_until

pytest_plugins = ["lab.fixtures"]
pytestmark = pytest.mark.timeout(300)

# Which is published by the engine, too: it lets nobody come to other ports of a container.
PUBLISHED = ["-p", "8081:80"]


@contextmanager
def by_kernel(lab: Lab, name: str, port: int) -> Iterator[Publish]:
    networks = "range .NetworkSettings.Networks"
    address = lab.docker("inspect", "-f", f"{{{{{networks}}}}}{{{{.IPAddress}}}}{{{{end}}}}", name)
    words = ["--identity", "pseudo-ipv4", "--path", "kernel", address.strip()]
    it = Publish(lab.host, "-p", f"{port}:80", *words)
    try:
        yield it
    finally:
        assert is_by_kernel_alone(it.stop())


def remote_ip(lab: Lab, port: int) -> str:
    page = curl(lab.client, f"http://[{HOST_IP6}]:{port}/")
    return page.splitlines()[1].removeprefix("Remote IP: ")


@pytest.mark.parametrize("network", ["bridge", "mine"])
def test_containers_see_who_is_calling(lab: Lab, network: str) -> None:
    if network != "bridge":
        lab.docker("network", "create", network)
    lab.run_webapp("--name", "web", "--network", network, *PUBLISHED)
    with by_kernel(lab, "web", 8080):
        assert 240 <= int(remote_ip(lab, 8080).split(".")[0]) < 248


@contextmanager
def dropped(lab: Lab, pseudo: str) -> Iterator[None]:
    rule = ["DOCKER-USER", "-s", pseudo, "-p", "tcp", "-j", "DROP"]
    lab.host.run("iptables", "-I", *rule)
    try:
        yield
    finally:
        lab.host.run("iptables", "-D", *rule)


def test_rules_of_docker_user_see_the_client(lab: Lab) -> None:
    lab.run_webapp("--name", "web", *PUBLISHED)
    with by_kernel(lab, "web", 8080):
        pseudo = remote_ip(lab, 8080)
        with dropped(lab, pseudo):
            words = ["curl", "-s", "-m", "2", f"http://[{HOST_IP6}]:8080/"]
            assert lab.client.run(*words, check=False) == ""
        assert remote_ip(lab, 8080) == pseudo


def ask(session: socket.socket) -> bool:
    """Whether the next answer comes in a quarter of a second."""
    session.settimeout(0.25)
    try:
        session.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        return session.recv(4096).startswith(b"HTTP/1.1 200")
    except TimeoutError:
        return False


def test_they_cut_off_who_is_connected(lab: Lab) -> None:
    """Though most of a connection's packets do not pass them; and it is not broken by that."""
    lab.run_webapp("--name", "web", *PUBLISHED)
    with by_kernel(lab, "web", 8080):
        pseudo = remote_ip(lab, 8080)
        with lab.client.connect(HOST_IP6, 8080) as session:
            assert all(ask(session) for _ in range(10))
            with dropped(lab, pseudo):
                wait_until(lambda: not ask(session), "its packets to be dropped", 5)
                assert not any(ask(session) for _ in range(4))
            session.settimeout(10)
            assert session.recv(4096).startswith(b"HTTP/1.1 200")
