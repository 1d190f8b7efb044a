# SPDX-License-Identifier: Apache-2.0
"""What fairleadd says to systemd and takes from it, with the test in systemd's place.

The protocols are sd_notify(3) and sd_listen_fds(3): datagrams on a unix socket with descriptors, and
descriptors from 3 on with their names in the environment.
"""

import array
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, exchange
from lab.daemon import FAIRLEADD, LIMIT_S, UnixConnection
from lab.netns import HOST_IP6, Network
from lab.wait import wait_until

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).resolve().parents[2]
RULE = {"protocol": "tcp", "host": "[::]:8080", "container": "127.0.0.1:80"}
OTHER_RULE = {**RULE, "host": "[::]:8081"}


# Above those that a service is handed its own at.
STORED_FROM = 50


def move_up(fd: int) -> int:
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, STORED_FROM)
    os.close(fd)
    return moved


class Manager:
    """In systemd's place: the notify socket, the store of descriptors, and the service."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.folder = folder
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.settimeout(LIMIT_S)
        self.store: dict[str, int] = {}
        self.said: list[str] = []
        self.process: subprocess.Popen | None = None
        self.write([RULE])

    def write(self, rules: list[dict]) -> None:
        daemon = {
            "api_socket": str(self.folder / "api.sock"),
            "drop_in_socket": "off",
            "state_file": str(self.folder / "rules.json"),
            "status_listen": "off",
        }
        text = json.dumps({"daemon": daemon, "rules": rules})
        (self.folder / "fairlead.json").write_text(text, encoding="utf-8")

    def start(self, handed: dict[str, int] | None = None, **env: str) -> None:
        """Starts the service with these sockets, or those of the store."""
        handed = self.store if handed is None else handed
        place = " ".join(f"{3 + i}>&{fd} {fd}>&-" for i, fd in enumerate(handed.values()))
        names = ":".join(handed)
        script = f'export LISTEN_PID=$$ LISTEN_FDS={len(handed)} LISTEN_FDNAMES="{names}"'
        words = ["bash", "-c", f'{script}; exec "$@" {place}', "bash", FAIRLEADD]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [*self.network.host.enter, *words, "--config", self.folder / "fairlead.json"],
                pass_fds=list(handed.values()),
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), **env},
            )
        self.hear_until("READY=1")

    def hear(self) -> str:
        """One message. Descriptors go to the store, or out of it."""
        data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(4 * 4))
        said = data.decode()
        lines = dict(line.split("=", 1) for line in said.splitlines())
        fds = array.array("i")
        for level, kind, payload in ancillary:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            fds.frombytes(payload)
        if "FDSTORE" in lines:
            assert len(fds) == 1
            if lines["FDNAME"] in self.store:  # systemd knows that it is the same
                os.close(self.store[lines["FDNAME"]])
            self.store[lines["FDNAME"]] = move_up(fds[0])
        if "FDSTOREREMOVE" in lines and lines["FDNAME"] in self.store:
            os.close(self.store.pop(lines["FDNAME"]))
        self.said.append(said)
        return said

    def hear_until(self, line: str) -> str:
        while line not in (said := self.hear()).splitlines():
            pass
        return said

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(LIMIT_S) == 0

    def rules(self) -> list[str]:
        connection = UnixConnection(self.folder / "api.sock")
        connection.request("GET", "/v1/rules")
        rules = json.loads(connection.getresponse().read())["rules"]
        connection.close()
        return [rule["host"] for rule in rules]

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in self.store.values():
            os.close(fd)
        self.socket.close()


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture
def manager(network: Network, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(network, tmp_path)
    yield made
    made.close()


def ask(manager: Manager, port: int = 8080) -> None:
    with manager.network.client.connect(HOST_IP6, port) as session:
        assert exchange(session, b"question") == b"question"


def test_who_connects_while_it_restarts_waits(manager: Manager) -> None:
    manager.start()
    assert len(manager.store) == 1
    with TcpBackend(manager.network.host.net, 80):
        ask(manager)
        manager.stop()
        with manager.network.client.connect(HOST_IP6, 8080) as waiting:
            waiting.sendall(b"question")
            manager.start()
            assert waiting.recv(100) == b"question"


def test_a_socket_of_a_rule_that_is_gone_is_dropped(manager: Manager) -> None:
    manager.start()
    manager.stop()
    manager.write([OTHER_RULE])
    before = set(manager.store)
    manager.start()
    assert len(manager.store) == 1 and before.isdisjoint(manager.store)
    with pytest.raises(ConnectionRefusedError):
        manager.network.client.connect(HOST_IP6, 8080)
    assert manager.rules() == ["[::]:8081"]


def test_a_reload_is_told_and_keeps_the_store_true(manager: Manager) -> None:
    manager.start()
    manager.write([RULE, OTHER_RULE])
    manager.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in manager.hear_until("RELOADING=1")
    said = manager.hear_until("READY=1")
    assert "STATUS=reloaded: 1 rules added, 0 removed, 0 changed" in said
    assert len(manager.store) == 2
    manager.write([OTHER_RULE])
    manager.process.send_signal(signal.SIGHUP)
    manager.hear_until("RELOADING=1")
    manager.hear_until("READY=1")
    assert len(manager.store) == 1


def test_the_end_is_told(manager: Manager) -> None:
    manager.start()
    manager.process.terminate()
    manager.hear_until("STOPPING=1")
    assert manager.process.wait(LIMIT_S) == 0


def test_the_watchdog_is_fed(manager: Manager) -> None:
    manager.start(WATCHDOG_USEC="300000")
    for _ in range(3):
        manager.hear_until("WATCHDOG=1")


def test_sockets_of_units_are_taken_by_name_and_by_address(manager: Manager) -> None:
    host = manager.network.host
    port = host.open_socket(socket.AF_INET6, socket.SOCK_STREAM)
    port.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    port.bind(("::", 8080))
    port.listen()
    status = host.open_socket(socket.AF_INET, socket.SOCK_STREAM)
    status.bind(("127.0.0.1", 9000))
    status.listen()
    api = socket.socket(socket.AF_UNIX)
    api.bind(str(manager.folder / "unit.sock"))
    api.listen()
    sockets = {"mail": port, "status": status, "api": api}
    handed = {name: move_up(it.detach()) for name, it in sockets.items()}
    manager.start(handed)
    for fd in handed.values():
        os.close(fd)
    with TcpBackend(host.net, 80):
        ask(manager)
    with host.connect("127.0.0.1", 9000) as session:
        session.sendall(b"GET /v1/version HTTP/1.0\r\n\r\n")
        assert b"200 OK" in session.recv(4096)
    connection = UnixConnection(manager.folder / "unit.sock")
    connection.request("GET", "/v1/health")
    assert connection.getresponse().status == 200
    connection.close()


def unit() -> Path:
    return Path(os.environ.get("FAIRLEAD_BUILD", ROOT / "build")) / "systemd/fairleadd.service"


@pytest.fixture
def installed_unit(tmp_path: Path) -> Path:
    """The unit with programs that exist."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze here")
    text = unit().read_text(encoding="utf-8")
    for line in ("ExecStart", "ExecReload"):
        text = "\n".join(
            f"{line}=/bin/true" if it.startswith(f"{line}=") else it for it in text.splitlines()
        )
    copy = tmp_path / "fairleadd.service"
    copy.write_text(text + "\n", encoding="utf-8")
    return copy


def test_the_unit_is_sound(installed_unit: Path) -> None:
    words = ["systemd-analyze", "verify", "--man=no", str(installed_unit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_gives_few_rights(installed_unit: Path) -> None:
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=20"]
    done = subprocess.run([*words, installed_unit], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
