# SPDX-License-Identifier: Apache-2.0
"""What a test with an engine has at hand."""

from .engine import Engine
from .netns import Namespace, Network

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
        """Runs it in a container, and gives that one's id."""
        return self.docker("run", "-d", *options, "webapp")

    def places(self) -> list[tuple[str, str, int]]:
        return sorted(proxy.place for proxy in self.engine.proxies())


def curl(namespace: Namespace, address: str) -> str:
    return namespace.run(*CURL, address)
