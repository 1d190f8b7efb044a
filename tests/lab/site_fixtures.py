# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with a box behind the host: a plugin, so that all their modules share it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .kernel_path import of_ours, set_forwarding
from .site import Site, SiteDaemon, Start


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


@pytest.fixture
def start(site: Site, tmp_path: Path, pins: Path) -> Iterator[Start]:
    """Starts daemons, whose connections the next one takes over; nothing may be left of them."""
    started: list[SiteDaemon] = []

    def make(**settings: str) -> SiteDaemon:
        started.append(SiteDaemon(site, tmp_path, kernel_pins=str(pins), **settings))
        return started[-1]

    yield make
    for it in started:
        it.stop()
    for it in started:
        subprocess.run([*site.host.enter, *it.command("--cleanup")], check=True)
    assert set(of_ours(site)) <= {"clsact"}
    for link in ("eth1", "box0"):
        site.host.run("sh", "-c", f"tc qdisc del dev {link} clsact 2>/dev/null || true")
