# SPDX-License-Identifier: Apache-2.0
"""What is measured: the kernel's own translation, Fairlead's drop-in, and its peers.

Each is set up as its manual advises for many connections, and otherwise left as it comes; the
settings are in this file. Each is started anew for each measurement.
"""

import contextlib
import json
import os
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from metrics import udp_name
from topology import (
    BACKEND_IP4,
    BACKEND_PORT,
    BUILD,
    PROXY_PORT,
    Failed,
    Lab,
    end,
    set_sysctl,
    start,
)
from lab.netns import HOST_IP4, HOST_IP6

OURS = "fairlead"
LIMIT = "dnat"
KERNEL_PATH = "fairlead-kernel"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
SOCKET_PROXYD = Path("/usr/lib/systemd/systemd-socket-proxyd")
# More than any workload opens, and what fits below the usual hard limit of descriptors.
SESSIONS_MAX = 6000
BACKLOG = 4096


@dataclass(frozen=True)
class Running:
    """A peer at work: where the client reaches it, and its first process; the kernel has none."""

    address: str
    pid: int | None


Start = Callable[[Lab, str, Path, contextlib.ExitStack], subprocess.Popen]


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    find: Callable[[], Path | None]
    """The program, if it is there."""
    package: str
    """What to install where it is not."""
    version: list[str]
    """Arguments with which it says its version; the first is a program, or empty: its own."""
    start: Start | None
    """None: the kernel."""
    protocols: tuple[str, ...] = ("tcp",)
    sessions_max: int = SESSIONS_MAX
    """A process for each session is not to fill the machine."""
    descriptors_each: int = 2
    """Of a session, at the least."""
    drop_in: bool = False
    """Whether it can be started as dockerd starts its proxies."""
    only: tuple[str, ...] = ()
    """The workloads that it can carry; all, if empty."""

    def sessions(self, wanted: int) -> int:
        """As many of the wanted as it can hold open at a time, some descriptors left for it."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return min(wanted, self.sessions_max, (limit - 500) // self.descriptors_each)

    @contextlib.contextmanager
    def running(self, lab: Lab, protocol: str) -> Iterator[Running]:
        if self.start is None:
            with translation(lab):
                yield Running(HOST_IP4, None)
            return
        program = self.find()
        if program is None:
            raise Failed("it is not installed")
        with contextlib.ExitStack() as stack:
            process = self.start(lab, protocol, program, stack)
            stack.callback(end, process)
            lab.wait_until_bound(process, protocol, PROXY_PORT)
            yield Running(HOST_IP6, process.pid)

    def read_version(self) -> str:
        program = self.version[0] or str(self.find())
        try:
            done = subprocess.run(
                [program, *self.version[1:]],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
                env={**os.environ, "PATH": SYSTEM_PATH},
            )
        except (OSError, subprocess.TimeoutExpired):
            return "unknown"
        return find_version(done.stdout + done.stderr)


def find_version(text: str) -> str:
    """The first word that looks like a version, as 20.10.24+dfsg1."""
    found = re.search(r"\b\d+(\.\d+)+[\w.+~-]*", text) or re.search(r"\b\d{3}\b", text)
    return found[0].rstrip(".") if found else "unknown"


def program(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        found = shutil.which(name, path=SYSTEM_PATH)
        return Path(found) if found else None

    return find


def existing(*paths: Path) -> Callable[[], Path | None]:
    """The first of the paths, if all of them exist."""
    return lambda: paths[0] if all(path.exists() for path in paths) else None


def named() -> Path | None:
    """A binary that the environment names, as one of a newer Docker Engine."""
    name = os.environ.get("FAIRLEAD_BENCH_DOCKER_PROXY")
    return Path(name) if name and Path(name).exists() else None


RULES = f"""
table ip fairlead_bench {{
	chain prerouting {{
		type nat hook prerouting priority dstnat
		tcp dport {PROXY_PORT} dnat to {BACKEND_IP4}:{BACKEND_PORT}
		udp dport {PROXY_PORT} dnat to {BACKEND_IP4}:{BACKEND_PORT}
	}}
}}
"""


@contextlib.contextmanager
def translation(lab: Lab) -> Iterator[None]:
    """The kernel translates and forwards. The rules go again, for nobody else to be tracked."""
    lab.host.run("nft", RULES)
    try:
        # So that short connections do not fill the table from one round to the next.
        set_sysctl(lab.host, "net/netfilter/nf_conntrack_tcp_timeout_time_wait", "1")
        yield
    finally:
        lab.host.run("nft", "delete table ip fairlead_bench")


def quiet(lab: Lab, words: list[str], **options: object) -> subprocess.Popen:
    null = subprocess.DEVNULL
    return start(lab.host, words, stdin=null, stdout=null, stderr=null, **options)


def start_drop_in(
    lab: Lab, protocol: str, program: Path, stack: contextlib.ExitStack
) -> subprocess.Popen:
    """As dockerd starts it, with something to take what is said on descriptor 3; it serves itself."""
    words = [str(program), "-proto", protocol, "-host-ip", "::", "-host-port", str(PROXY_PORT)]
    words += ["-container-ip", BACKEND_IP4, "-container-port", str(BACKEND_PORT)]
    script = 'FAIRLEAD_HANDOVER=off exec "$@" 3>/dev/null'
    return quiet(lab, ["sh", "-c", script, "sh", *words])


STATUS = "127.0.0.1:9469"
# As a monitoring system asks, and more often than most.
SCRAPE = f"while sleep 5; do curl -s -o /dev/null http://{STATUS}/metrics; done"


def write_daemon_config(folder: Path, rule: dict[str, str], **settings: str) -> Path:
    """With one rule, and all that the daemon keeps in that folder."""
    settings = {
        "api_socket": f"{folder}/api.sock",
        "drop_in_socket": "off",
        "state_file": f"{folder}/rules.json",
        "drain_timeout": "0",
        "pseudo_store": f"{folder}/pseudo.db",
        **settings,
    }
    rule = {"container": f"{BACKEND_IP4}:{BACKEND_PORT}", **rule}
    config = folder / "fairlead.json"
    config.write_text(json.dumps({"daemon": settings, "rules": [rule]}), encoding="utf-8")
    return config


def start_daemon(
    lab: Lab,
    protocol: str,
    program: Path,
    stack: contextlib.ExitStack,
    **identity: str,
) -> subprocess.Popen:
    """With all that it has to show switched on: an access log, and metrics that are asked for."""
    rule = {"protocol": protocol, "host": f"[::]:{PROXY_PORT}", **identity}
    log = f"{lab.folder}/access.log"
    config = write_daemon_config(lab.folder, rule, status_listen=STATUS, access_log=log)
    stack.callback(end, quiet(lab, ["sh", "-c", SCRAPE]))
    return quiet(lab, [str(program), "--config", str(config)])


def start_kernel_path(
    lab: Lab, protocol: str, program: Path, stack: contextlib.ExitStack
) -> subprocess.Popen:
    """Ready when it says so: the relay, which has the same port, listens before. Both protocols, as
    with the kernel's own translation.
    """
    ports = [f"[::]:{PROXY_PORT}:{BACKEND_PORT}/{it}" for it in ("tcp", "udp")]
    words = [str(program), "publish", "-p", ports[0], "-p", ports[1]]
    words += ["--identity", "pseudo-ipv4", "--path", "kernel", BACKEND_IP4]
    process = start(lab.host, words, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    while (line := process.stdout.readline()) and not line.startswith("Press"):
        pass
    return process


HAPROXY = f"""
global
	maxconn {SESSIONS_MAX}
defaults
	mode tcp
	option splice-auto
	timeout connect 10s
	timeout client 1h
	timeout server 1h
listen bench
	bind :::{PROXY_PORT} v6only backlog {BACKLOG}
	server box {BACKEND_IP4}:{BACKEND_PORT}
"""


# Adds X-Forwarded-For to each request, as fairleadd-xff does.
HAPROXY_HTTP = HAPROXY.replace("mode tcp", "mode http\n\toption forwardfor")
# As is better where it has less than a processor.
HAPROXY_HTTP_1 = HAPROXY_HTTP.replace("global", "global\n\tnbthread 1")


def start_haproxy(
    lab: Lab,
    protocol: str,
    program: Path,
    stack: contextlib.ExitStack,
    config: str = HAPROXY,
) -> subprocess.Popen:
    (lab.folder / "haproxy.cfg").write_text(config, encoding="utf-8")
    return quiet(lab, [str(program), "-db", "-f", str(lab.folder / "haproxy.cfg")])


NGINX = """
load_module {module};
daemon off;
pid {folder}/nginx.pid;
error_log /dev/null;
worker_processes auto;
worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
stream {{
	server {{
		listen [::]:{port} ipv6only=on reuseport backlog={backlog};
		proxy_pass {backend};
		proxy_timeout 1h;
	}}
}}
"""


def start_nginx(
    lab: Lab, protocol: str, program: Path, stack: contextlib.ExitStack
) -> subprocess.Popen:
    text = NGINX.format(
        module=NGINX_STREAM,
        folder=lab.folder,
        port=PROXY_PORT,
        backlog=BACKLOG,
        backend=f"{BACKEND_IP4}:{BACKEND_PORT}",
    )
    if protocol == "udp":
        text = text.replace(f"reuseport backlog={BACKLOG}", "udp reuseport")
    (lab.folder / "nginx.conf").write_text(text, encoding="utf-8")
    return quiet(lab, [str(program), "-p", str(lab.folder), "-c", str(lab.folder / "nginx.conf")])


def start_socat(
    lab: Lab, protocol: str, program: Path, stack: contextlib.ExitStack
) -> subprocess.Popen:
    listen = f"TCP6-LISTEN:{PROXY_PORT},ipv6only=1,reuseaddr,nodelay,fork,backlog={BACKLOG}"
    connect = f"TCP4:{BACKEND_IP4}:{BACKEND_PORT},nodelay"
    return quiet(lab, [str(program), "-b", "65536", listen, connect])


def start_socket_proxyd(
    lab: Lab, protocol: str, program: Path, stack: contextlib.ExitStack
) -> subprocess.Popen:
    """As systemd hands it its socket: descriptor 3, and two variables (sd_listen_fds(3))."""
    listener = stack.enter_context(lab.host.open_socket(socket.AF_INET6, socket.SOCK_STREAM))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", PROXY_PORT))
    listener.listen(BACKLOG)
    script = f'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&{listener.fileno()}'
    words = [str(program), f"--connections-max={SESSIONS_MAX}", f"{BACKEND_IP4}:{BACKEND_PORT}"]
    return quiet(lab, ["sh", "-c", script, "sh", *words], pass_fds=[listener.fileno()])


BOTH = ("tcp", "udp")
# What is HTTP on the wire.
HTTP = ("http", "quota-http", "connect")
# What a packet's way through the kernel shows in.
KERNEL = (
    *("bulk-1", "bulk-8", "bulk-reverse", "http", "flows-http", "rr", "connect", "flows-udp"),
    *(udp_name(512, clients, reply) for clients in (1, 100) for reply in (False, True)),
)

PEERS = [
    Peer(LIMIT, "kernel DNAT (IPv4)", program("nft"), "nftables", ["uname", "-r"], None, BOTH),
    Peer(
        OURS,
        "fairlead-docker-proxy",
        existing(BUILD / "fairlead-docker-proxy"),
        "`make`",
        ["", "-version"],
        start_drop_in,
        BOTH,
        drop_in=True,
    ),
    Peer(
        "fairleadd",
        "fairleadd, with log and metrics",
        existing(BUILD / "fairleadd"),
        "`make`",
        ["", "--version"],
        start_daemon,
        BOTH,
    ),
    Peer(
        "fairleadd-pseudo",
        "fairleadd, identity pseudo-ipv4",
        existing(BUILD / "fairleadd"),
        "`make`",
        ["", "--version"],
        partial(start_daemon, identity="pseudo-ipv4"),
        BOTH,
    ),
    Peer(
        "fairleadd-http",
        "fairleadd, identity http",
        existing(BUILD / "fairleadd"),
        "`make`",
        ["", "--version"],
        partial(start_daemon, identity="http"),
        only=HTTP,
    ),
    Peer(
        "fairleadd-xff",
        "fairleadd, identity http with X-Forwarded-For alone",
        existing(BUILD / "fairleadd"),
        "`make`",
        ["", "--version"],
        partial(start_daemon, identity="http", http_headers="x-forwarded-for"),
        only=("http", "quota-http"),
    ),
    Peer(
        KERNEL_PATH,
        "fairlead publish --path kernel",
        existing(BUILD / "fairlead"),
        "`make`",
        ["", "--version"],
        start_kernel_path,
        BOTH,
        only=KERNEL,
    ),
    Peer(
        "docker-proxy",
        "docker-proxy",
        program("docker-proxy"),
        "docker.io",
        ["dockerd", "--version"],
        start_drop_in,
        BOTH,
        descriptors_each=6,
        drop_in=True,
    ),
    Peer(
        "docker-proxy-new",
        "docker-proxy (named)",
        named,
        "a binary to be named, see bench/run --help",
        ["", "-version"],
        start_drop_in,
        BOTH,
        descriptors_each=6,
        drop_in=True,
    ),
    Peer("haproxy", "HAProxy", program("haproxy"), "haproxy", ["", "-v"], start_haproxy),
    Peer(
        "haproxy-http",
        "HAProxy, http with forwardfor",
        program("haproxy"),
        "haproxy",
        ["", "-v"],
        partial(start_haproxy, config=HAPROXY_HTTP),
        # Not connect: it keeps a client's connection when the backend closes its own.
        only=("http", "quota-http"),
    ),
    Peer(
        "haproxy-http-1",
        "HAProxy, http with forwardfor, nbthread 1",
        program("haproxy"),
        "haproxy",
        ["", "-v"],
        partial(start_haproxy, config=HAPROXY_HTTP_1),
        only=("quota-http",),
    ),
    Peer(
        "nginx",
        "nginx stream",
        lambda: existing(NGINX_STREAM)() and program("nginx")(),
        "nginx-light and libnginx-mod-stream",
        ["", "-v"],
        start_nginx,
        BOTH,
    ),
    Peer("socat", "socat", program("socat"), "socat", ["", "-V"], start_socat, sessions_max=500),
    Peer(
        "socket-proxyd",
        "systemd-socket-proxyd",
        existing(SOCKET_PROXYD),
        "systemd",
        ["", "--version"],
        start_socket_proxyd,
        descriptors_each=6,
    ),
]
