# SPDX-License-Identifier: Apache-2.0
"""A network of their own for the tests of this folder, and a proxy in it."""

import ctypes
import os
import subprocess
from collections.abc import Iterator

import pytest
from proxies import Proxy

CLONE_NEWNET = 0x40000000


@pytest.fixture(scope="session", autouse=True)
def own_network() -> Iterator[None]:
    """Moves this process, and those it starts, to a network where all ports are free."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as before:
        if libc.unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"needs a network of its own: {os.strerror(ctypes.get_errno())}")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
        libc.setns(before.fileno(), CLONE_NEWNET)


@pytest.fixture(params=[1, 4], ids=["1-thread", "4-threads"])
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    started = Proxy(request.param)
    yield started
    started.close()
