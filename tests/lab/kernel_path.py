# SPDX-License-Identifier: Apache-2.0
"""What the kernel path leaves on a site's host, and what it needs there."""

import json
import re

from .site import Site


def set_forwarding(site: Site, value: int) -> None:
    site.host.run("sh", "-c", f"echo {value} >/proc/sys/net/ipv4/ip_forward")


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
