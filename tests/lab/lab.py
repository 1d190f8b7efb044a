# SPDX-License-Identifier: Apache-2.0
"""What a test with an engine has at hand."""

from .engine import Engine
from .netns import Namespace, Network, Place
from .wait import wait_until

CURL = ["curl", "-q", "--silent", "--show-error", "--max-time", "10", "--noproxy", "*"]


class Lab:
    """A host with an engine, and a client outside."""

    def __init__(self, network: Network, engine: Engine) -> None:
        self.network = network
        self.host = network.host
        self.client = network.client
        self.engine = engine
        self.docker = engine.docker

    def run_webapp(self, *options: str) -> str:
        """Runs it in a container until it listens, and gives the container's id."""
        container = self.docker("run", "-d", *options, "webapp")
        self.wait_for_webapp(container)
        return container

    def wait_for_webapp(self, container: str) -> None:
        """A container runs before its program listens; what a proxy says meanwhile is not asked."""
        place = self.engine.container(container)
        wait_until(lambda: listens(place, 80), "webapp listens in the container")

    def places(self) -> list[tuple[str, str, int]]:
        return sorted(proxy.place for proxy in self.engine.proxies())


def listens(place: Place, port: int) -> bool:
    try:
        place.connect("127.0.0.1", port).close()
    except ConnectionRefusedError:
        return False
    return True


def curl(namespace: Namespace, address: str) -> str:
    return namespace.run(*CURL, address)
