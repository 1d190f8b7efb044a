# SPDX-License-Identifier: Apache-2.0
"""SCTP on a kernel without it. tests/sctp holds it to the rest, on a kernel that has it."""

import socket
from collections.abc import Callable

import pytest

from conftest import Launch
from proxy import Program, flags

SCTP = 132  # IPPROTO_SCTP


def kernel_has_sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_kernel_without_sctp(
    launch: Launch, new_port: Callable[[], int], program: Program, host: str
) -> None:
    if kernel_has_sctp():
        pytest.skip("this kernel has SCTP")
    proxy = launch(*flags("sctp", host, new_port(), "127.0.0.1", 80))
    status = proxy.read_status().decode()
    assert status.startswith("1\n")
    assert proxy.wait() == 1
    message = status[2:]
    assert "\n" not in message
    if program.is_ours:  # the original has the kernel's words only
        assert "this kernel has no SCTP" in message
        assert "protocol not supported" in message
