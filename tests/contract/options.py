# SPDX-License-Identifier: Apache-2.0
"""The two sockets that a proxy has for one session, and the options that both must have."""

import socket

from proxy import Proxy, wait_until

KEEPALIVE_S = 15
KEEPALIVE_PROBES = 9


def peer_of(it: socket.socket) -> tuple[str, int] | None:
    try:
        return it.getpeername()[:2]
    except OSError:  # a listener
        return None


def session_sockets(
    proxy: Proxy, client: tuple, backend: tuple[str, int]
) -> list[socket.socket]:
    """The proxy's sockets to that client and to that backend, in this order."""
    found: dict[tuple[str, int], socket.socket] = {}

    def look() -> bool:
        for it in proxy.sockets():
            if peer_of(it) in (client[:2], backend):
                found[peer_of(it)] = it
            else:
                it.close()
        return len(found) == 2

    wait_until(look, f"sockets to {client} and to {backend}")
    return [found[client[:2]], found[backend]]


def assert_tuned(it: socket.socket) -> None:
    """As the original does it: no delay, and a dead peer is noticed."""
    assert it.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert it.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert it.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE_S
    assert it.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == KEEPALIVE_S
    assert it.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == KEEPALIVE_PROBES
