# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with a box behind the host: a plugin, so that all their modules share it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .kernel_path import set_forwarding
from .site import Site, SiteDaemon


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture
def site_daemon(site: Site, tmp_path: Path) -> Iterator[SiteDaemon]:
    made = SiteDaemon(site, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def forwarding(site: Site) -> Iterator[None]:
    set_forwarding(site, 1)
    yield
    set_forwarding(site, 0)


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[Path]:
    """A directory of a BPF file system."""
    place = tmp_path / "bpf"
    place.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", place], check=True)
    yield place / "fairlead"
    subprocess.run(["umount", place], check=True)
