# SPDX-License-Identifier: Apache-2.0
"""The unit of fairleadd under a real systemd: its user, its rights, restarts and reloads."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, exchange
from lab.daemon import BUILD
from lab.netns import Namespace, Place
from lab.systemd import Systemd, Unavailable
from lab.wait import wait_until

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "/etc/fairlead/fairlead.json"
RULES = [
    {"publish": "80:8000", "container": "127.0.0.1", "name": "web"},
    {"publish": "[::1]:5353:53/udp", "container": "127.0.0.1"},
]


@pytest.fixture(scope="module")
def systemd() -> Iterator[Systemd]:
    try:
        made = Systemd()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield made
    made.close()


def write(systemd: Systemd, text: str) -> None:
    file = systemd.root / CONFIG.lstrip("/")
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")


def rules_text(rules: list[dict], access_log: str = "/var/log/fairlead/access.log") -> str:
    return json.dumps({"rules": rules, "daemon": {"access_log": access_log}})


@pytest.fixture
def unit(systemd: Systemd) -> Iterator[Systemd]:
    """Installed as `make install` does it, and started."""
    systemd.install(BUILD / "fairleadd", "/usr/local/sbin/fairleadd", 0o755)
    systemd.install(BUILD / "fairlead", "/usr/local/bin/fairlead", 0o755)
    systemd.install(BUILD / "systemd/fairleadd.service", "/etc/systemd/system/fairleadd.service")
    systemd.install(ROOT / "systemd/fairlead.conf", "/usr/local/lib/sysusers.d/fairlead.conf")
    systemd.run("systemd-sysusers")
    write(systemd, rules_text(RULES))
    systemd.run("systemctl", "daemon-reload")
    systemd.run("systemctl", "start", "fairleadd")
    yield systemd
    systemd.run("systemctl", "stop", "fairleadd")
    systemd.run("systemctl", "reset-failed", check=False)


def main_pid(systemd: Systemd) -> str:
    return systemd.show("fairleadd", "MainPID")


def status(systemd: Systemd) -> dict[str, str]:
    """Of the daemon's process, as in proc(5)."""
    text = systemd.run("cat", f"/proc/{main_pid(systemd)}/status")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_it_runs_with_few_rights(unit: Systemd) -> None:
    assert unit.show("fairleadd", "ActiveState") == "active"
    assert unit.show("fairleadd", "StatusText") == "serving"
    found = status(unit)
    user = unit.run("id", "-u", "fairlead").strip()
    assert found["Uid"].split() == [user] * 4
    # CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF, and nothing else can be had
    few = 1 << 10 | 1 << 12 | 1 << 13 | 1 << 39
    assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == few
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    modes = unit.run("stat", "-c", "%n %a %U %G", "/run/fairlead/fairlead.sock")
    assert modes.strip() == "/run/fairlead/fairlead.sock 660 fairlead fairlead"
    assert "[::]:80/tcp" in unit.run("/usr/local/bin/fairlead", "ls")


def test_who_connects_while_it_restarts_waits(unit: Systemd) -> None:
    place = Place(Path(f"/proc/{unit.first}/ns/net"))
    before = main_pid(unit)
    assert unit.show("fairleadd", "NFileDescriptorStore") == "3"
    with TcpBackend(place.net, 8000):
        with place.connect("::1", 80) as session:
            assert exchange(session, b"question") == b"question"
        unit.run("systemctl", "kill", "--signal=STOP", "fairleadd")
        with place.connect("::1", 80) as waiting:
            waiting.sendall(b"question")
            os.kill(host_pid(unit, before), 9)
            wait_until(lambda: main_pid(unit) not in ("0", before), "it has been started again")
            waiting.settimeout(20)
            assert waiting.recv(100) == b"question"
    wait_until(lambda: unit.show("fairleadd", "ActiveState") == "active", "it is ready")
    assert unit.show("fairleadd", "NRestarts") == "1"


def host_pid(systemd: Systemd, inside: str) -> int:
    """The process as it is called out here."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "status").read_text(encoding="utf-8")
            same = (folder / "ns/pid").readlink() == Path(f"/proc/{systemd.first}/ns/pid").readlink()
        except OSError:
            continue
        numbers = [line.split()[1:] for line in text.splitlines() if line.startswith("NSpid:")]
        if same and numbers and numbers[0][-1] == inside:
            return int(folder.name)
    raise AssertionError(f"there is no process {inside}")


def test_reload_tells_what_is_wrong(unit: Systemd) -> None:
    before = main_pid(unit)
    write(unit, rules_text(RULES[:1]))
    unit.run("systemctl", "reload", "fairleadd")
    assert unit.show("fairleadd", "NFileDescriptorStore") == "2"
    write(unit, "{")
    said = unit.run("systemctl", "reload", "fairleadd", check=False)
    assert "failed" in said
    assert unit.show("fairleadd", "ActiveState") == "active"
    assert main_pid(unit) == before
    write(unit, rules_text(RULES))
    unit.run("systemctl", "reload", "fairleadd")
    assert unit.show("fairleadd", "NFileDescriptorStore") == "3"


def test_what_it_has_to_write_it_can_write(unit: Systemd) -> None:
    place = Place(Path(f"/proc/{unit.first}/ns/net"))
    fairlead = "/usr/local/bin/fairlead"
    unit.run(fairlead, "publish", "-d", "-p", "[::1]:9000:8000", "--name", "api", "127.0.0.1")
    with TcpBackend(place.net, 8000), place.connect("::1", 9000) as session:
        assert exchange(session, b"question") == b"question"
        session.shutdown(socket.SHUT_WR)
        assert session.recv(1) == b""
    log = unit.root / "var/log/fairlead/access.log"
    wait_until(lambda: "rule=api" in log.read_text(encoding="utf-8"), "the line is there")
    unit.run("systemctl", "restart", "fairleadd")
    assert "[::1]:9000/tcp" in unit.run(fairlead, "ls")
    unit.run(fairlead, "unpublish", "api")


def test_access_log_in_the_journal(unit: Systemd) -> None:
    place = Place(Path(f"/proc/{unit.first}/ns/net"))
    write(unit, rules_text(RULES, "journal"))
    unit.run("systemctl", "restart", "fairleadd")
    with TcpBackend(place.net, 8000), place.connect("::1", 80) as session:
        assert exchange(session, b"question") == b"question"
    query = ["journalctl", "--no-pager", "-o", "json", "-t", "fairleadd", "FAIRLEAD_END=done"]
    lines = wait_until(lambda: unit.run(*query, check=False).splitlines(), "the line is there")
    entry = json.loads(lines[-1])
    assert " in=8 out=8 " in entry["MESSAGE"] and entry["MESSAGE"].endswith(" end=done rule=web")
    assert entry["FAIRLEAD_CLIENT"].startswith("[::1]:")
    assert entry["FAIRLEAD_CONTAINER"] == "127.0.0.1:8000"
    assert (entry["FAIRLEAD_RULE"], entry["PRIORITY"]) == ("web", "6")


def test_a_hung_daemon_is_restarted(unit: Systemd) -> None:
    """By the watchdog, which is shortened for this."""
    drop_in = unit.root / "etc/systemd/system/fairleadd.service.d/watchdog.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n", encoding="utf-8")
    unit.run("systemctl", "daemon-reload")
    unit.run("systemctl", "restart", "fairleadd")
    before = main_pid(unit)
    unit.run("systemctl", "kill", "--signal=STOP", "fairleadd")
    wait_until(lambda: main_pid(unit) not in ("0", before), "it has been started again")
    drop_in.unlink()
    unit.run("systemctl", "daemon-reload")


@pytest.fixture
def outside(systemd: Systemd) -> Iterator[tuple[Namespace, Namespace]]:
    """A client behind one link of it, and a box with IPv4 behind another."""
    client, box = Namespace(), Namespace()
    script = """
    ip link add out0 type veth peer name eth0 netns $1
    ip link add box0 type veth peer name eth0 netns $2
    echo 0 >/proc/sys/net/ipv6/conf/out0/accept_dad
    echo 1 >/proc/sys/net/ipv4/ip_forward
    ip address add 2001:db8::2/64 dev out0 nodad
    ip address add 172.31.0.1/24 dev box0
    ip link set out0 up
    ip link set box0 up
    """
    enter = ["nsenter", f"--net=/proc/{systemd.first}/ns/net"]
    pids = [str(place.holder.pid) for place in (client, box)]
    try:
        subprocess.run([*enter, "sh", "-euc", script, "sh", *pids], check=True)
        client.run("ip", "address", "add", "2001:db8::100/64", "dev", "eth0", "nodad")
        box.run("ip", "address", "add", "172.31.0.2/24", "dev", "eth0")
        for place in (client, box):
            place.run("ip", "link", "set", "eth0", "up")
        box.run("ip", "route", "add", "default", "via", "172.31.0.1")
        yield client, box
    finally:
        client.close()
        box.close()


def kernel_links(unit: Systemd) -> str:
    return unit.run("sh", "-c", "ip -o link | grep fairlead || true")


def test_the_kernel_path_has_the_rights_it_needs(
    unit: Systemd, outside: tuple[Namespace, Namespace]
) -> None:
    client, box = outside
    mounted = unit.run("sh", "-c", "mountpoint -q /sys/fs/bpf || mount -t bpf -o mode=0700 bpf /sys/fs/bpf && echo")
    assert mounted  # as systemd itself does at boot
    rule = {"publish": "8080:80", "container": "172.31.0.2", "identity": "pseudo-ipv4"}
    write(unit, rules_text([{**rule, "path": "kernel"}]))
    unit.run("systemctl", "restart", "fairleadd")
    listed = lambda: json.loads(unit.run("/usr/local/bin/fairlead", "ls", "--json"))  # noqa: E731
    carried = lambda: "kernel" in [rule["carried_by"] for rule in listed()]  # noqa: E731
    try:
        wait_until(carried, "the kernel to carry it", 10)
    except AssertionError:
        raise AssertionError(listed()) from None
    with TcpBackend(box.net, 80), client.connect("2001:db8::2", 8080) as session:
        assert exchange(session, b"before") == b"before"
        before = main_pid(unit)
        unit.run("systemctl", "restart", "fairleadd")
        assert main_pid(unit) != before
        assert exchange(session, b"after") == b"after"
        wait_until(carried, "the kernel to carry it again", 10)
        (shown,) = json.loads(unit.run("/usr/local/bin/fairlead", "sessions", "--json"))
        assert (shown["path"], shown["in_bytes"]) == ("kernel", 11)
    assert "fairlead0" in kernel_links(unit)
    unit.run("systemctl", "stop", "fairleadd")
    assert kernel_links(unit) == ""
