# SPDX-License-Identifier: Apache-2.0
"""scripts/demo: what it shows is true, and nothing that it made is left, however it ends.

Each test has a machine of its own for it, a network namespace, so that what else goes on on the real
one neither helps nor hurts. What is left of a demo is looked for by its process id, which is in all
its names, by an environment variable that all its processes inherit, and by the state of that
machine's network.
"""

import os
import pty
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Folders of the system that an engine uses, and the demo's must not.
ENGINE_FOLDERS = ["/etc/docker", "/opt/containerd", "/run/containerd", "/run/docker"]

pytestmark = pytest.mark.timeout(180)


def run(*words: str) -> str:
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout


def engine_files() -> list[str]:
    return sorted(str(path) for folder in ENGINE_FOLDERS for path in Path(folder).glob("**"))


class Machine:
    """A network namespace in the place of a user's machine."""

    def __init__(self) -> None:
        name = f"demo-machine-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.name = name
        self.enter = ["nsenter", f"--net=/run/netns/{name}", "--"]
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def run(self, *words: str) -> str:
        return run(*self.enter, *words)

    def network(self) -> str:
        """All in its network that a demo could leave there, once new addresses are settled."""
        while "tentative" in self.run("ip", "address"):
            time.sleep(0.1)
        commands = ["ip -o address", "ip route show table all", "ip -6 route show table all"]
        commands += ["iptables -S", "iptables -t nat -S"]
        return "".join(self.run(*command.split()) for command in commands)

    def close(self) -> None:
        run("ip", "netns", "del", self.name)


class Demo:
    """One run of the demo, on a terminal of its own."""

    def __init__(self, machine: Machine, *options: str) -> None:
        self.machine = machine
        self.mark = uuid.uuid4().hex
        self.network_before = machine.network()
        self.engine_files_before = engine_files()
        self.shown = ""
        self.terminal, inner = pty.openpty()
        self.process = subprocess.Popen(
            [*machine.enter, ROOT / "scripts/demo", *options],
            env={**os.environ, "FAIRLEAD_DEMO_MARK": self.mark},
            preexec_fn=lambda: os.login_tty(inner),
        )
        os.close(inner)
        self.name = f"fairlead-demo-{self.process.pid}"

    def read(self) -> bool:
        """Reads what the terminal shows; false at its end."""
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # EIO: the last process on it has ended
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return True

    def read_until(self, text: str) -> None:
        while text not in self.shown:
            assert self.read(), f"ended without {text!r}:\n{self.shown}"

    def end(self) -> int:
        """Waits for its end and returns its exit status."""
        while self.read():
            pass
        os.close(self.terminal)
        return self.process.wait()

    def press_ctrl_c(self) -> None:
        os.write(self.terminal, b"\x03")

    def processes(self) -> list[str]:
        """Those that it has started, and those that they have."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:  # it has ended
                continue
        return found

    def assert_nothing_left(self) -> None:
        assert self.processes() == []
        assert self.name not in run("ip", "netns", "list")
        assert list(Path("/tmp").glob(f"{self.name}.*")) == []
        assert list(Path("/sys/fs/cgroup").glob(f"**/{self.name}")) == []
        assert self.machine.network() == self.network_before
        assert engine_files() == self.engine_files_before

    def after(self, command: str) -> str:
        """What is shown after the last run of the command, up to the next empty line."""
        found = re.findall(rf"\$ {re.escape(command)}\n(.*?)(?:\n\n|\Z)", self.shown, re.DOTALL)
        assert found, f"{command!r} was not shown:\n{self.shown}"
        return re.sub("^ +", "", found[-1], flags=re.MULTILINE)


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    yield made
    made.close()


def assert_transcript(demo: Demo, hostname: str, port: int = 8080) -> None:
    """The page's scenes: a local client, the pair of sessions, a client outside, the headers."""
    page = rf"Hostname: {hostname}\nRemote IP: 172\.17\.0\.1"
    assert re.fullmatch(page, demo.after(f"curl http://[::1]:{port}/"))
    assert re.fullmatch(page, demo.after(f"curl http://[2001:db8::2]:{port}/"))

    pair = demo.after(f"ss -nt '( dst [::1]:{port} or dst 172.17.0.2:80 )'")
    assert re.search(rf"^ESTAB .* \[::1\]:\d+ +\[::1\]:{port}\b", pair, re.MULTILINE)
    assert re.search(r"^ESTAB .* 172\.17\.0\.1:\d+ +172\.17\.0\.2:80\b", pair, re.MULTILINE)

    headers = demo.after(f"curl http://[2001:db8::2]:{port}/headers").splitlines()
    names = [line.partition(":")[0] for line in headers]
    assert sorted(names) == ["Accept", "Host", "User-Agent"]
    assert f"Host: [2001:db8::2]:{port}" in headers

    named = demo.after("curl http://[2001:db8::2]:8091/")
    pseudo = re.search(rf"Hostname: {hostname}\nRemote IP: (2[45]\d\.\d+\.\d+\.\d+)\n", named)
    assert pseudo, named
    assert "X-Forwarded-For: 2001:db8::100\n" in named
    assert re.search(rf"^{pseudo[1]} +2001:db8::100 ", demo.after(f"fairlead whois {pseudo[1]}"), re.M)


def test_once_shows_the_transcript_and_leaves_nothing(machine: Machine) -> None:
    demo = Demo(machine, "--once")
    assert demo.end() == 0, demo.shown
    assert_transcript(demo, "web_1")
    container = demo.after("ip -brief address")
    assert "172.17.0.2/16" in container and "::1" not in container and "fe80" not in container
    assert "Listening on [::]:8080/tcp -> 172.17.0.2:80" in demo.shown
    assert re.search(r"\[::\]:8080/tcp +172\.17\.0\.2:80 +4 ", demo.shown), "no summary"
    demo.assert_nothing_left()


def test_once_with_docker_shows_the_transcript_and_leaves_nothing(machine: Machine) -> None:
    demo = Demo(machine, "--docker", "--once")
    assert demo.end() == 0, demo.shown
    container = demo.after("docker run --rm -d --name web_1 -p 8080:80 webapp").splitlines()[0]
    assert_transcript(demo, container[:12])
    proxy = rf"{ROOT}/build/fairlead-docker-proxy -proto tcp -host-ip (\S+) -host-port 8080 "
    assert set(re.findall(proxy, demo.shown)) >= {"0.0.0.0", "::"}
    demo.assert_nothing_left()


def test_stays_up_for_the_users_own_curl_until_ctrl_c(machine: Machine) -> None:
    demo = Demo(machine)
    demo.read_until("It stays up until Ctrl-C")
    assert "Remote IP: 172.17.0.1" in machine.run("curl", "-s", "http://[::1]:8080/")
    demo.press_ctrl_c()
    assert demo.end() == 0, demo.shown
    demo.assert_nothing_left()


def test_docker_stays_up_for_the_users_own_curl_until_ctrl_c(machine: Machine) -> None:
    demo = Demo(machine, "--docker")
    demo.read_until("docker.sock ps\n")
    commands = re.findall(r"^ +((?:curl|sudo nsenter) .*)$", demo.shown, re.MULTILINE)
    assert len(commands) == 2, demo.shown
    for command in commands:  # sudo is the user's; this test is root
        answer = machine.run("sh", "-c", command.removeprefix("sudo "))
        assert "Remote IP: 172.17.0.1" in answer
    demo.press_ctrl_c()
    assert demo.end() == 0, demo.shown
    demo.assert_nothing_left()


@pytest.mark.parametrize(
    ("options", "moment"),
    [
        ([], "Building Fairlead"),
        ([], "$ ip -brief address"),
        ([], "Listening on"),
        ([], "$ ss -nt"),
        ([], "It stays up until Ctrl-C"),
        (["--docker"], "Building Fairlead"),
        (["--docker"], "$ docker run"),
        (["--docker"], "$ ss -nt"),
    ],
)
@pytest.mark.parametrize("way", ["SIGTERM", "SIGHUP", "Ctrl-C"])
def test_leaves_nothing_when_it_is_ended(
    machine: Machine, options: list[str], moment: str, way: str
) -> None:
    demo = Demo(machine, *options)
    demo.read_until(moment)
    if way == "Ctrl-C":
        demo.press_ctrl_c()
    else:
        demo.process.send_signal(getattr(signal, way))
    status = demo.end()
    interrupted = 0 if moment.startswith("It stays") else 130
    assert status == {"SIGTERM": 143, "SIGHUP": 129, "Ctrl-C": interrupted}[way], demo.shown
    demo.assert_nothing_left()


def test_leaves_nothing_when_what_it_shows_dies(machine: Machine) -> None:
    demo = Demo(machine)
    demo.read_until("It stays up until Ctrl-C")
    publish = run("pgrep", "--parent", str(demo.process.pid), "--full", "fairlead publish")
    os.kill(int(publish), signal.SIGKILL)
    assert demo.end() == 1
    assert "demo: fairlead publish has ended" in demo.shown
    demo.assert_nothing_left()


def test_takes_another_port_and_other_networks_where_they_are_busy(machine: Machine) -> None:
    machine.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "end")
    machine.run("ip", "link", "set", "end", "up")
    for address in ["172.17.9.1/24", "2001:db8::77/64"]:
        machine.run("ip", "address", "add", address, "dev", "other")
    machine.run("ip", "link", "set", "other", "up")
    busy = subprocess.Popen(
        [*machine.enter, ROOT / "build/examples/webapp/webapp", "8080", "--address", "::"],
        stdout=subprocess.PIPE,
    )
    try:
        busy.stdout.readline()
        demo = Demo(machine, "--once")
        assert demo.end() == 0, demo.shown
    finally:
        busy.terminate()
        busy.wait()
        busy.stdout.close()
    assert "Port 8080 is busy on this machine; 8081 is taken." in demo.shown
    assert "172.17.0.0/16 is in use on this machine; 172.18.0.0/16 is taken." in demo.shown
    assert "2001:db8::/64 is in use on this machine; 2001:db8:1::/64 is taken." in demo.shown
    assert demo.after("curl http://[2001:db8:1::2]:8081/").endswith("Remote IP: 172.18.0.1")
    demo.assert_nothing_left()


def test_two_run_side_by_side(machine: Machine) -> None:
    first = Demo(machine)
    first.read_until("It stays up until Ctrl-C")
    second = Demo(machine, "--once")
    assert second.end() == 0, second.shown
    second.assert_nothing_left()
    first.press_ctrl_c()
    assert first.end() == 0, first.shown
    first.assert_nothing_left()


def test_says_that_ipv6_is_off(machine: Machine) -> None:
    machine.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
    demo = Demo(machine, "--once")
    assert demo.end() == 1
    assert demo.shown.strip().startswith("demo: IPv6 is switched off on this machine")
    demo.assert_nothing_left()


def run_demo(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(words, text=True, capture_output=True)


def test_says_that_it_needs_root() -> None:
    result = run_demo("unshare", "--user", str(ROOT / "scripts/demo"), "--docker")
    assert result.returncode == 1
    assert "needs root: sudo scripts/demo --docker\n" in result.stderr


def test_help_needs_nothing() -> None:
    result = run_demo("unshare", "--user", str(ROOT / "scripts/demo"), "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Usage:  scripts/demo [--docker] [--once]")


def test_says_which_option_it_does_not_know() -> None:
    result = run_demo(str(ROOT / "scripts/demo"), "--twice")
    assert result.returncode == 2
    assert result.stderr == "demo: unknown option '--twice': see scripts/demo --help\n"
