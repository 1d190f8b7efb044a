# SPDX-License-Identifier: Apache-2.0
"""The kernel path to containers of real Docker Engines, whose own rules stay what they are."""

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


def test_rules_of_docker_user_see_the_client(lab: Lab) -> None:
    lab.run_webapp("--name", "web", *PUBLISHED)
    with by_kernel(lab, "web", 8080):
        pseudo = remote_ip(lab, 8080)
        rule = ["DOCKER-USER", "-s", pseudo, "-p", "tcp", "-j", "DROP"]
        lab.host.run("iptables", "-I", *rule)
        try:
            words = ["curl", "-s", "-m", "2", f"http://[{HOST_IP6}]:8080/"]
            assert lab.client.run(*words, check=False) == ""
        finally:
            lab.host.run("iptables", "-D", *rule)
        assert remote_ip(lab, 8080) == pseudo
