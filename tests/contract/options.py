# SPDX-License-Identifier: Apache-2.0
"""The options of the two sockets that a proxy has for one session."""

import socket

from proxy import Proxy, peer_of, wait_until

Options = dict[str, int]

READ = {
    "nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "keepalive idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "keepalive interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "keepalive probes": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
}


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
    return found


def assert_tuned(options: Options) -> None:
    """No delay, and a peer that has died is noticed."""
    expected = [("nodelay", 1), ("keepalive", 1), ("keepalive probes", 9)]
    expected += [("keepalive idle", 15), ("keepalive interval", 15)]
    assert options == dict(expected)
