# SPDX-License-Identifier: Apache-2.0
"""fairlead doctor: what a host can use, and what is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend
from lab.kernel_path import of_ours, set_forwarding
from lab.netns import HOST_IP6
from lab.publish import FAIRLEAD, Publish
from lab.site import BOX, Site

pytest_plugins = ["lab.site_fixtures"]
pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("forwarding")]


def examine(site: Site, *words: str, prefix: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit status, and what was said."""
    command = [*site.host.enter, *prefix, FAIRLEAD, "doctor", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_host_that_can_all_of_it(site: Site) -> None:
    status, said = examine(site, BOX)
    assert (status, said.count("  NO   ")) == (0, 0)
    assert "the route and its guard in nftables: tried, it works" in said
    assert "its programs, links and tables: tried, it works" in said
    assert f"clients can come to {HOST_IP6} on eth1" in said
    assert f"there is a way to the container {BOX}" in said
    assert of_ours(site) == []


def test_a_container_is_asked_while_there_are_such_addresses(site: Site) -> None:
    it = Publish(site.host, "-p", "8080:80", "--identity", "pseudo-ipv4", BOX)
    try:
        with TcpBackend(site.box.net, 80):
            assert f"{BOX} answers to such addresses" in examine(site, BOX)[1]
    finally:
        it.stop()


def test_what_is_missing_is_named(site: Site) -> None:
    set_forwarding(site, 0)
    assert "  NO   the link eth1 does not forward IPv4: set net.ipv4.ip_forward=1" in examine(site)[1]
    site.host.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/eth1/rp_filter")
    site.host.run("nft", "add table inet firewall")
    chain = "{ type filter hook input priority 0; policy drop; }"
    site.host.run("nft", f"add chain inet firewall in {chain}")
    try:
        status, said = examine(site, "172.31.9.9")
    finally:
        set_forwarding(site, 1)
        site.host.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/eth1/rp_filter")
        site.host.run("nft", "delete table inet firewall")
    assert status == 1
    for sentence in (
        "  NO   the link eth1 drops what the kernel path makes of clients' packets (rp_filter is 1)",
        "  --   with path auto it is the relay: this host filters IPv6 in the chain inet firewall in",
        "  NO   there is no way to the container 172.31.9.9",
    ):
        assert sentence in said


def test_without_rights_it_says_so(site: Site) -> None:
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")
    status, said = examine(site, prefix=user)
    assert status == 1
    assert "This is not root" in said
    assert said.count("run this as root") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"userland-proxy-path": "/nowhere/fairlead-docker-proxy"}', "  NO   userland-proxy-path"),
        ('{"userland-proxy-path": "/bin/true"}', "  --   userland-proxy-path is /bin/true, and not"),
        ('{"userland-proxy": false}', "the engine starts no proxy"),
        ("{}", "has no userland-proxy-path"),
        ("{", "is no JSON: line 1"),
    ],
)
def test_the_configuration_of_an_engine(site: Site, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    script = f"mkdir -p /etc/docker && mount -t tmpfs tmpfs /etc/docker && cp {file} /etc/docker"
    inside = ("unshare", "--mount", "sh", "-euc", f'{script}; exec "$@"', "sh")
    assert said in examine(site, prefix=inside)[1]
