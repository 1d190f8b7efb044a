# SPDX-License-Identifier: Apache-2.0
"""What acts as the client of a published port."""

import fcntl
import hashlib
import random
import socket
import struct

from backends import PATIENCE_S, family_of, read_exactly
from proxy import wait_until

SIOCOUTQ = 0x5411  # linux/sockios.h
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


def pattern(size: int) -> bytes:
    """Bytes of which no two stretches are alike, so that none can take another's place."""
    return random.Random(size).randbytes(size)


def wait_for_delivery(it: socket.socket) -> None:
    """Until the other end's kernel has all that was sent (SIOCOUTQ, tcp(7))."""

    def unconfirmed() -> int:
        return struct.unpack("i", fcntl.ioctl(it, SIOCOUTQ, bytes(4)))[0]

    wait_until(lambda: unconfirmed() == 0, "confirmation of all bytes")


def digest(data: bytes) -> str:
    """In the place of the bytes, of which pytest would show all."""
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()}"
