# SPDX-License-Identifier: Apache-2.0
"""The options of the two sockets that a proxy has for one session."""

import socket
import time

from proxy import Proxy, peer_of, wait_until

Options = dict[str, int]

READ = {
    "nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "keepalive idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "keepalive interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "keepalive probes": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
}


# Within that time a session that lasts is kept alive on both sides.
SETTLED_S = 3


def options_of_session(proxy: Proxy, client: tuple, container: tuple) -> dict[str, Options]:
    """The options towards that client and towards that container."""
    sides = {client[:2]: "client", container[:2]: "container"}
    found: dict[str, Options] = {}

    def look() -> bool:
        for it in proxy.sockets():
            with it:
                side = sides.get(peer_of(it) or ("", 0))
                if side:
                    found[side] = {name: it.getsockopt(*READ[name]) for name in READ}
        return len(found) == 2

    wait_until(look, f"sockets to {client} and to {container}")
    deadline = time.monotonic() + SETTLED_S
    while not all(side["keepalive"] for side in found.values()) and time.monotonic() < deadline:
        time.sleep(0.1)
        look()
    return found


def assert_tuned(options: Options) -> None:
    """No delay, and a peer that has died is noticed."""
    expected = [("nodelay", 1), ("keepalive", 1), ("keepalive probes", 9)]
    expected += [("keepalive idle", 15), ("keepalive interval", 15)]
    assert options == dict(expected)
