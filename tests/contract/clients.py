# SPDX-License-Identifier: Apache-2.0
"""What acts as the client of a published port."""

import socket

from backends import PATIENCE_S, family_of, read_exactly

HELLO = b"is anybody there?"


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, PATIENCE_S)


def echoes(address: tuple[str, int], data: bytes = HELLO) -> bool:
    """Whether what is sent there comes back."""
    with connect(address) as client:
        client.sendall(data)
        return read_exactly(client, len(data)) == data


def udp_client(host: str) -> socket.socket:
    """A socket for that family; not connected, so that it shows who answers."""
    client = socket.socket(family_of(host), socket.SOCK_DGRAM)
    client.settimeout(PATIENCE_S)
    return client


def udp_echoes(address: tuple[str, int], data: bytes = HELLO) -> bool:
    """Whether a datagram comes back, and from where it was sent to."""
    with udp_client(address[0]) as client:
        client.sendto(data, address)
        answer, sender = client.recvfrom(65536)
        return answer == data and sender[:2] == address
