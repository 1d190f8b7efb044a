# SPDX-License-Identifier: Apache-2.0
"""A client, a host and a box: a container without an engine, behind the host, with IPv4 only.

	client  2001:db8::100 ---- 2001:db8::2  host  172.31.0.1 ---- 172.31.0.2  box

The box's default route leads to the host, as that of a container does.
"""

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from .daemon import LIMIT_S, Daemon
from .netns import CLIENT_IP6, HOST_IP6, Namespace, Network
from .publish import FAIRLEAD

BOX = "172.31.0.2"
GATEWAY = "172.31.0.1"
# A neighbour of the client's, on the same link.
NEIGHBOUR_IP6 = CLIENT_IP6.rpartition(":")[0] + ":77"


def link_box(host: Namespace, box: Namespace, link: str, gateway: str, address: str) -> None:
    """Joins them, with addresses of a /24; `link` is the host's, the box has eth0."""
    words = ["ip", "link", "add", link, "netns", str(host.holder.pid), "type", "veth"]
    words += ["peer", "name", "eth0", "netns", str(box.holder.pid)]
    subprocess.run(words, check=True)
    for place, name, value in ((host, link, gateway), (box, "eth0", address)):
        place.run("ip", "link", "set", name, "up")
        place.run("ip", "address", "add", f"{value}/24", "dev", name)
    box.run("ip", "route", "add", "default", "via", gateway)


class Site(Network):
    def __init__(self) -> None:
        self.box = Namespace()
        super().__init__()

    def _link(self) -> None:
        super()._link()
        link_box(self.host, self.box, "box0", GATEWAY, BOX)
        self.add_client(NEIGHBOUR_IP6)

    def add_client(self, address: str) -> None:
        """One more address of the client's."""
        self.client.run("ip", "address", "add", f"{address}/64", "dev", "eth0", "nodad")

    def connect(self, port: int, source: str = CLIENT_IP6) -> socket.socket:
        """From outside, to the host."""
        made = self.client.open_socket(socket.AF_INET6, socket.SOCK_STREAM)
        made.bind((source, 0))
        made.connect((HOST_IP6, port))
        return made

    def close(self) -> None:
        super().close()
        self.box.close()


class SiteDaemon(Daemon):
    """fairleadd of the site's host, with a store of pseudo-IPv4 addresses of its own."""

    def __init__(self, site: Site, folder: Path, **settings: str) -> None:
        more = {"pseudo_store": str(folder / "pseudo.db"), **settings}
        super().__init__(folder, enter=site.host.enter, daemon=more)

    def publish(self, port: str, identity: str, **more: str) -> None:
        """A port of the box."""
        rule = {"publish": port, "container": BOX, "identity": identity, **more}
        self.request("POST", "/v1/rules", rule)

    def fairlead(self, *words: str) -> str:
        """What the command says that asks this daemon."""
        command = [*self.enter, FAIRLEAD, words[0], "--socket", self.socket, *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr
        return done.stdout


# What starts one of them with these settings.
Start = Callable[..., SiteDaemon]
