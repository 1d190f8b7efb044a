# SPDX-License-Identifier: Apache-2.0
"""none: what passes is what was sent."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.site import Site, SiteDaemon
from lab.transfer import check_transfer

pytest_plugins = ["lab.site_fixtures"]
pytestmark = pytest.mark.timeout(120)


def test_none_is_transparent_both_ways(site: Site, site_daemon: SiteDaemon) -> None:
    site_daemon.publish("8080:80", "none")
    check_transfer(site.box.net, 80, lambda: site.connect(8080), 6_000_000, 5_000_000)
