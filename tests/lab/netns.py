# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: a host, and a client outside it.

	client  eth0  2001:db8::100, 192.0.2.100 ---- 2001:db8::2, 192.0.2.2  eth1  host

A namespace has no name, which could be left behind or met by another run: a process holds it, and
ends with the process that started it, however that ends.
"""

import ctypes
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

HOST_IP6 = "2001:db8::2"
HOST_OTHER_IP6 = "2001:db8::3"
HOST_IP4 = "192.0.2.2"
CLIENT_IP6 = "2001:db8::100"
CLIENT_IP4 = "192.0.2.100"

CLONE_NEWNET = 0x40000000
# How long a socket of a test waits for anything; none does for as long as the test may take.
SOCKET_LIMIT_S = 20


def open_socket_in(net: Path, family: int, kind: int) -> socket.socket:
    """A socket of another network namespace: a socket keeps the one that it was made in."""
    made: list[socket.socket] = []
    libc = ctypes.CDLL(None, use_errno=True)

    def make() -> None:
        with net.open() as file:
            if libc.setns(file.fileno(), CLONE_NEWNET) == 0:
                made.append(socket.socket(family, kind))

    # In a thread, as a thread has a namespace of its own, and this one ends with it.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert made, f"cannot make a socket in {net}"
    made[0].settimeout(SOCKET_LIMIT_S)
    return made[0]


class Place:
    """A network namespace to make sockets and run commands in."""

    def __init__(self, net: Path) -> None:
        self.net = net
        # Not `ip netns exec`, which would give a new /sys that lacks the cgroups.
        self.enter = ["nsenter", f"--net={net}", "--"]

    def run(self, *words: str, limit_s: float = 60, check: bool = True) -> str:
        """What a command prints that is run there. It fails with what the command said."""
        done = subprocess.run(
            [*self.enter, *words], capture_output=True, text=True, timeout=limit_s
        )
        if check:
            assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def set(self, link: str, name: str, value: int) -> None:
        """Sets a sysctl of IPv6 for a link."""
        self.run("sh", "-c", f"echo {value} >/proc/sys/net/ipv6/conf/{link}/{name}")

    def open_socket(self, family: int, kind: int) -> socket.socket:
        return open_socket_in(self.net, family, kind)

    def mac(self, link: str) -> bytes:
        (found,) = json.loads(self.run("ip", "-json", "link", "show", "dev", link))
        return bytes.fromhex(found["address"].replace(":", ""))

    def connect(self, address: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A connected socket there; so one of datagrams takes replies from that address alone."""
        family, _, _, _, where = socket.getaddrinfo(
            address.partition("%")[0], port, type=kind, flags=socket.AI_NUMERICHOST
        )[0]
        if "%" in address:
            where = (*where[:3], self.link_index(address.partition("%")[2]))
        made = self.open_socket(family, kind)
        try:
            made.connect(where)
        except OSError:
            made.close()
            raise
        return made

    def link_index(self, link: str) -> int:
        return json.loads(self.run("ip", "-json", "link", "show", "dev", link))[0]["ifindex"]

    def addresses(self) -> list[str]:
        """Those of all its links that are in use, with %LINK where they need it."""
        found = []
        for link in json.loads(self.run("ip", "-json", "address")):
            for info in link.get("addr_info", []):
                if info.get("tentative") or "local" not in info:
                    continue
                suffix = f"%{link['ifname']}" if info["local"].startswith("fe80:") else ""
                found.append(info["local"] + suffix)
        return found

    def is_settled(self) -> bool:
        """Whether all addresses can be used: IPv6 looks for others that have them first."""
        return "tentative" not in self.run("ip", "address")


class Namespace(Place):
    """A network namespace of the lab's own, with its lo up."""

    def __init__(self) -> None:
        hold = "ip link set lo up && echo ready && exec sleep infinity"
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", hold],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout
        assert self.holder.stdout.readline() == "ready\n", "cannot make a network namespace"
        super().__init__(Path(f"/proc/{self.holder.pid}/ns/net"))

    def close(self) -> None:
        self.holder.kill()
        self.holder.wait()
        assert self.holder.stdout
        self.holder.stdout.close()


class Network:
    """A host and a client outside it, linked."""

    def __init__(self) -> None:
        self.host = Namespace()
        self.client = Namespace()
        try:
            self._link()
        except BaseException:
            self.close()
            raise

    def _link(self) -> None:
        client, host = str(self.client.holder.pid), str(self.host.holder.pid)
        words = ["ip", "link", "add", "eth0", "netns", client]
        subprocess.run(
            [*words, "type", "veth", "peer", "name", "eth1", "netns", host], check=True
        )
        addresses = {
            (self.host, "eth1"): [f"{HOST_IP6}/64", f"{HOST_OTHER_IP6}/64", f"{HOST_IP4}/24"],
            (self.client, "eth0"): [f"{CLIENT_IP6}/64", f"{CLIENT_IP4}/24"],
        }
        for (namespace, link), values in addresses.items():
            namespace.set(link, "disable_ipv6", 0)
            # Nobody else is on this link who could have the same address.
            namespace.set(link, "accept_dad", 0)
            namespace.run("ip", "link", "set", link, "up")
            for value in values:
                nodad = ["nodad"] if ":" in value else []
                namespace.run("ip", "address", "add", value, "dev", link, *nodad)

    def link_local(self) -> str:
        """The host's own address on the link, as the client names it."""
        addresses = self.host.addresses()
        found = next(a for a in addresses if a.startswith("fe80:") and a.endswith("%eth1"))
        return found.replace("%eth1", "%eth0")

    def close(self) -> None:
        self.client.close()
        self.host.close()


def process_is_in(pid: int, net: Path) -> bool:
    """Whether a process that has not ended is in a network namespace."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net") == os.readlink(net)
    except OSError:
        return False
