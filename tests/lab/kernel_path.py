# SPDX-License-Identifier: Apache-2.0
"""What the kernel path leaves on a site's host, and what it needs there."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from .site import Site, SiteDaemon
from .wait import wait_until


def set_forwarding(site: Site, value: int) -> None:
    site.host.run("sh", "-c", f"echo {value} >/proc/sys/net/ipv4/ip_forward")


@contextmanager
def forward_filter(site: Site, *rules: str, policy: str = "accept") -> Iterator[None]:
    """A chain at the hook forward of the host's IPv4, as an administrator or an engine has it."""
    site.host.run("nft", "add table ip filter")
    chain = f"{{ type filter hook forward priority 0; policy {policy}; }}"
    site.host.run("nft", f"add chain ip filter FORWARD {chain}")
    try:
        for rule in rules:
            site.host.run("nft", f"add rule ip filter FORWARD {rule}")
        yield
    finally:
        site.host.run("nft", "delete table ip filter")


def rule_of(daemon: SiteDaemon, family: str = "[") -> dict:
    """The rule of one address family, of those of one -p."""
    rules = daemon.get("/v1/rules")["rules"]
    return next(rule for rule in rules if rule["host"].startswith(family))


def wait_until_carried(daemon: SiteDaemon) -> None:
    wait_until(lambda: rule_of(daemon)["carried_by"] == "kernel", "the kernel to carry it", 10)


def publish(daemon: SiteDaemon, port: str, path: str = "kernel", **more: object) -> None:
    """And waits until it is carried so."""
    daemon.publish(port, "pseudo-ipv4", path=path, **more)
    wait_until_carried(daemon)


def filters_of(site: Site, link: str) -> list[str]:
    """The names of programs that are attached."""
    found = []
    for side in ("ingress", "egress"):
        text = site.host.run("tc", "filter", "show", "dev", link, side)
        found += re.findall(r"(\w+):\[", text)
    return found


def of_ours(site: Site) -> list[str]:
    """Links, routes, tables and filters that were set on the host."""
    links = [link["ifname"] for link in json.loads(site.host.run("ip", "-json", "link"))]
    found = [name for name in links if name.startswith("fairlead")]
    for number in ("70", "71"):
        routes = site.host.run("ip", "route", "show", "table", "all", "proto", number)
        found += routes.splitlines()
    found += site.host.run("nft", "list", "tables").splitlines()
    for link in ("eth1", "box0"):
        found += filters_of(site, link)
        found += re.findall(r"clsact", site.host.run("tc", "qdisc", "show", "dev", link))
    return found


def is_by_kernel_alone(summary: list[str]) -> bool:
    """What publish says at its end: the relay has carried nothing, and the kernel something."""
    by_relay = [line for line in summary if " by the kernel: " not in line]
    return not any(line.startswith("PUBLISHED") for line in by_relay) and summary != by_relay
