# SPDX-License-Identifier: Apache-2.0
"""What the figures are called, and which way is better. Their names are the keys in the JSON."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    title: str
    unit: str
    more_is_better: bool = False


def udp_metrics() -> dict[str, Metric]:
    found = {}
    for reply in (False, True):
        for clients in (1, 100):
            for size in (64, 512, 1200):
                name = udp_name(size, clients, reply)
                title = f"UDP {size} B, {clients} client{'s' if clients > 1 else ''}"
                title += ", replies" if reply else ", one way"
                found[f"{name}.datagrams_s"] = Metric(title, "datagrams/s", True)
                found[f"{name}.cpu_us"] = Metric(f"{title}: proxy CPU", "us/datagram")
    return found


def udp_name(size: int, clients: int, reply: bool) -> str:
    return f"udp-{size}-{clients}" + ("-reply" if reply else "")


METRICS: dict[str, Metric] = {
    "bulk-1.gbit_s": Metric("bulk, 1 stream", "Gbit/s", True),
    "bulk-8.gbit_s": Metric("bulk, 8 streams", "Gbit/s", True),
    "bulk-reverse.gbit_s": Metric("bulk, 1 stream from the container", "Gbit/s", True),
    "bulk-1.cpu_s_gb": Metric("bulk, 1 stream: proxy CPU", "s/GB"),
    "bulk-8.cpu_s_gb": Metric("bulk, 8 streams: proxy CPU", "s/GB"),
    "bulk-reverse.cpu_s_gb": Metric("bulk from the container: proxy CPU", "s/GB"),
    "http.requests_s": Metric("HTTP keep-alive, 32 connections", "requests/s", True),
    "http.p99_us": Metric("HTTP keep-alive: p99", "us"),
    "http.cpu_s_100k": Metric("HTTP keep-alive: proxy CPU", "s/100,000"),
    "quota-http.requests_s": Metric(
        "HTTP keep-alive, a quarter of a processor", "requests/s", True
    ),
    "flows-http.requests_s": Metric("HTTP keep-alive, 100,000 UDP flows open", "requests/s", True),
    "flows-http.p99_us": Metric("HTTP keep-alive, 100,000 UDP flows open: p99", "us"),
    "rr.p50_us": Metric("request/response, 1 connection: p50", "us"),
    "rr.p99_us": Metric("request/response, 1 connection: p99", "us"),
    "rr.p999_us": Metric("request/response, 1 connection: p99.9", "us"),
    "rr.added_p50_us": Metric("added to DNAT: p50", "us"),
    "rr.added_p99_us": Metric("added to DNAT: p99", "us"),
    "rr.added_p999_us": Metric("added to DNAT: p99.9", "us"),
    "rr.cpu_s_100k": Metric("request/response: proxy CPU", "s/100,000"),
    "connect.connections_s": Metric("new connections", "connections/s", True),
    "connect.p99_us": Metric("new connections: p99", "us"),
    "connect.cpu_s_10k": Metric("new connections: proxy CPU", "s/10,000"),
    **udp_metrics(),
    "flows-udp.datagrams_s": Metric(
        "UDP 512 B, 1 client, one way, 100,000 flows open", "datagrams/s", True
    ),
    "memory-tcp.idle_kib": Metric("memory, idle process", "KiB"),
    "memory-tcp.session_bytes": Metric("memory, for each idle TCP session", "bytes"),
    "memory-tcp.session_descriptors": Metric("descriptors, for each TCP session", "each"),
    "memory-udp.client_bytes": Metric("memory, for each UDP client", "bytes"),
    "memory-udp.client_descriptors": Metric("descriptors, for each UDP client", "each"),
    "ports-250.publish_s": Metric("publish 250 ports", "s"),
    "ports-250.withdraw_s": Metric("withdraw 250 ports", "s"),
    "ports-250.kib_port": Metric("memory of 250 ports, for each", "KiB"),
    "ports-1000.publish_s": Metric("publish 1,000 ports", "s"),
    "ports-1000.withdraw_s": Metric("withdraw 1,000 ports", "s"),
    "ports-1000.kib_port": Metric("memory of 1,000 ports, for each", "KiB"),
}

# The difference to the kernel's own translation of the same round.
ADDED = {
    "rr.added_p50_us": "rr.p50_us",
    "rr.added_p99_us": "rr.p99_us",
    "rr.added_p999_us": "rr.p999_us",
}


@dataclass(frozen=True)
class Bar:
    """What Fairlead is to reach: a ratio to the best of the peers, or a figure of its own."""

    metric: str
    limit: float
    against: tuple[str, ...] = ()
    ours: str = "fairlead"
    """Which of our programs."""


DOCKER = ("docker-proxy",)
BULK_PEERS = ("docker-proxy", "docker-proxy-new", "haproxy", "nginx")
ALL_PEERS = (*BULK_PEERS, "socat", "socket-proxyd")
DNAT, KERNEL = ("dnat",), "fairlead-kernel"
DAEMON, PSEUDO, HTTP = ("fairleadd",), "fairleadd-pseudo", "fairleadd-http"

BARS = [
    Bar("bulk-1.gbit_s", 1.1, BULK_PEERS),
    Bar("bulk-8.gbit_s", 1.1, BULK_PEERS),
    Bar("bulk-reverse.gbit_s", 1.1, BULK_PEERS),
    Bar("http.requests_s", 1.1, ALL_PEERS),
    Bar("rr.p50_us", 1.0, ALL_PEERS),
    Bar("rr.p99_us", 1.0, ALL_PEERS),
    Bar("connect.connections_s", 1.1, ALL_PEERS),
    *[Bar(name, 3.0, DOCKER) for name in udp_metrics() if name.endswith(".datagrams_s")],
    Bar("bulk-1.cpu_s_gb", 0.7, DOCKER),
    Bar("bulk-8.cpu_s_gb", 0.7, DOCKER),
    Bar("bulk-reverse.cpu_s_gb", 0.7, DOCKER),
    Bar("http.cpu_s_100k", 0.6, DOCKER),
    Bar("rr.cpu_s_100k", 0.6, DOCKER),
    Bar("connect.cpu_s_10k", 0.5, DOCKER),
    Bar("memory-tcp.session_bytes", 400),
    Bar("memory-tcp.session_descriptors", 2),
    Bar("memory-udp.client_bytes", 1024),
    Bar("memory-udp.client_descriptors", 1),
    # What identities cost: the same daemon without.
    Bar("bulk-1.gbit_s", 0.99, DAEMON, PSEUDO),
    Bar("bulk-8.gbit_s", 0.99, DAEMON, PSEUDO),
    Bar("bulk-reverse.gbit_s", 0.99, DAEMON, PSEUDO),
    Bar("connect.connections_s", 0.97, DAEMON, PSEUDO),
    Bar("http.requests_s", 0.8, DAEMON, HTTP),
    Bar("http.requests_s", 1.2, ("haproxy-http",), "fairleadd-xff"),
    Bar("quota-http.requests_s", 1.2, ("haproxy-http", "haproxy-http-1"), "fairleadd-xff"),
    # The kernel path, and what the kernel itself does with an IPv4 client.
    Bar("bulk-1.gbit_s", 0.9, DNAT, KERNEL),
    Bar("bulk-8.gbit_s", 0.9, DNAT, KERNEL),
    Bar("bulk-reverse.gbit_s", 0.9, DNAT, KERNEL),
    Bar("http.requests_s", 0.95, DNAT, KERNEL),
    Bar("rr.p99_us", 1.1, DNAT, KERNEL),
    Bar("connect.connections_s", 0.93, DNAT, KERNEL),
    Bar("udp-512-1.datagrams_s", 0.9, DNAT, KERNEL),
    Bar("flows-http.requests_s", 0.95, DNAT, KERNEL),
    Bar("flows-udp.datagrams_s", 0.9, DNAT, KERNEL),
]
