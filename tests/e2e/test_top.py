# SPDX-License-Identifier: Apache-2.0
"""fairlead top, in a terminal of 80 columns and 24 lines, as over ssh."""

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, exchange
from lab.daemon import BUILD, Daemon
from lab.netns import HOST_IP4, HOST_IP6, Network
from lab.wait import wait_until

pytestmark = pytest.mark.timeout(120)

RULES = [
    {"publish": "8080:80", "container": "127.0.0.1", "name": "web"},
    {"publish": "9000-9019:9000-9019", "container": "172.17.0.2", "name": "many"},
]


class Terminal:
    """A tmux of its own, with one program in it and the shell that started it."""

    def __init__(self, folder: Path) -> None:
        self.tmux = ["tmux", "-f", "/dev/null", "-S", str(folder / "tmux")]
        self.run("new-session", "-d", "-x", "80", "-y", "24", "env PS1='$ ' sh")

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*self.tmux, *words], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout

    def screen(self) -> list[str]:
        return self.run("capture-pane", "-p").splitlines()

    def press(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def wait_for(self, pattern: str) -> list[str]:
        wait_until(lambda: re.search(pattern, "\n".join(self.screen())), f"{pattern} is shown")
        return self.screen()

    def close(self) -> None:
        subprocess.run([*self.tmux, "kill-server"], capture_output=True, timeout=20, check=False)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, rules=RULES, enter=network.host.enter)
    yield made
    made.kill()


@pytest.fixture
def sessions(network: Network, daemon: Daemon) -> Iterator[list[socket.socket]]:
    """One over IPv4 that has carried much, and thirty over IPv6."""
    with TcpBackend(network.host.net, 80):
        opened = [network.client.connect(HOST_IP6, 8080) for _ in range(30)]
        opened.append(network.client.connect(HOST_IP4, 8080))
        for session in opened:
            assert exchange(session, b"question") == b"question"
        assert exchange(opened[-1], bytes(500_000)) == bytes(500_000)
        yield opened
        for session in opened:
            session.close()


@pytest.fixture
def top(daemon: Daemon, sessions: list, tmp_path: Path) -> Iterator[Terminal]:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    made = Terminal(tmp_path)
    try:
        command = f"{BUILD}/fairlead top -d 0.2 --socket {daemon.socket}"
        made.press(f"{command}; echo ended with $?", "Enter")
        made.wait_for("sessions by rate")
        yield made
    finally:
        made.close()


def names(screen: list[str]) -> list[str]:
    return screen[2].split()


def test_it_shows_what_there_is_in_80_columns(top: Terminal, sessions: list) -> None:
    screen = top.wait_for("31 sessions")
    assert screen[0].startswith("fairlead top   up ") and " 42 rules   31 sessions" in screen[0]
    assert {"CLIENT", "CONTAINER", "IN", "OUT", "IN/S", "OUT/S"} <= set(names(screen))
    assert all(len(line) <= 80 for line in screen)
    assert screen[-1].startswith(" q quit   Tab view   / filter   sort: r rate b bytes a age")
    assert sum("127.0.0.1:80" in line for line in screen[3:-1]) == 20


def test_it_sorts(top: Terminal, sessions: list) -> None:
    top.press("b")
    screen = top.wait_for("sessions by bytes")
    address = "{}:{}".format(*sessions[-1].getsockname())
    assert address in screen[3] and "500kB" in screen[3]
    top.press("c")
    screen = top.wait_for("sessions by client")
    assert address in screen[3]  # digits stand before brackets
    top.press("a")
    top.wait_for("sessions by age")
    assert "AGE" in names(top.screen())


def test_it_scrolls(top: Terminal) -> None:
    top.press("c")
    first = top.wait_for("sessions by client")[3]
    top.press("Down")
    wait_until(lambda: top.screen()[3] != first, "it has moved")
    top.press("Up")
    wait_until(lambda: top.screen()[3] == first, "it has moved back")
    top.press("NPage")
    wait_until(lambda: top.screen()[3] != first, "it has moved by a page")
    # not beyond the last
    assert sum("127.0.0.1:80" in line for line in top.screen()[3:-1]) == 20
    top.press("Home")
    wait_until(lambda: top.screen()[3] == first, "it is at the first")
    top.press("End")
    wait_until(lambda: top.screen()[3] != first, "it is at the last page")
    assert sum("127.0.0.1:80" in line for line in top.screen()[3:-1]) == 20


def test_it_filters(top: Terminal, sessions: list) -> None:
    top.press("/")
    top.wait_for("filter: _")
    top.press("192.0.2.")
    screen = top.wait_for(r"filter: 192\.0\.2\._   1 shown")
    assert "192.0.2.100" in screen[3] and screen[4] == ""
    top.press("Enter")
    top.wait_for(r"filter: 192\.0\.2\.   1 shown")
    top.press("/", "Escape")
    top.wait_for("sessions by rate")


def test_it_shows_clients_and_rules(top: Terminal) -> None:
    top.press("Tab")
    screen = top.wait_for("clients by rate")
    assert {line.split()[0] for line in screen[3:5]} == {"192.0.2.100", "2001:db8::100"}
    top.press("Tab")
    screen = top.wait_for("rules by sessions")
    assert "[::]:8080/tcp" in screen[3] and "0.0.0.0:8080/tcp" in screen[4]
    top.press("Tab")
    top.wait_for("sessions by rate")


def test_it_takes_another_size(top: Terminal) -> None:
    top.run("resize-window", "-x", "200", "-y", "40")
    screen = top.wait_for("IDENTITY +PATH")
    assert sum("127.0.0.1:80" in line for line in screen) == 31
    assert "q quit" in screen[39]
    top.run("resize-window", "-x", "40", "-y", "10")
    wait_until(lambda: len(top.screen()) == 10, "it is small")
    top.wait_for("q quit")
    top.wait_for(r"\nsessions by rate\n")  # without the end of a line above that is too long
    assert all(len(line) <= 40 for line in top.screen())


def test_it_says_when_the_daemon_has_gone_and_recovers(top: Terminal, daemon: Daemon) -> None:
    daemon.kill()
    screen = top.wait_for("fairleadd does not run")
    assert sum("127.0.0.1:80" in line for line in screen[3:-1]) == 20
    daemon.start()
    top.wait_for("sessions by rate")
    top.wait_for(" 0 sessions")


def test_it_says_when_the_daemon_hangs_and_can_be_left(top: Terminal, daemon: Daemon) -> None:
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        top.wait_for("fairleadd does not answer")
        top.press("q")
        top.wait_for("ended with 0")
    finally:
        daemon.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("key", ["q", "C-c"])
def test_it_leaves_the_terminal_as_it_was(top: Terminal, key: str) -> None:
    top.press(key)
    if key == "q":
        top.wait_for(r"^ended with 0$|\nended with 0")
    wait_until(lambda: "q quit" not in "\n".join(top.screen()), "its picture has gone")
    top.press("echo b''ack", "Enter")  # which is seen as it is typed, and then what it prints
    top.wait_for(r"\$ echo b''ack\nback\n")


def test_it_does_without_colours(daemon: Daemon, tmp_path: Path) -> None:
    """A terminal that can do nothing is told so."""
    terminal = Terminal(tmp_path)
    try:
        command = f"TERM=nothing {BUILD}/fairlead top --socket {daemon.socket}"
        terminal.press(f"{command}; echo ended with $?", "Enter")
        terminal.wait_for("the terminal is not known: set TERM")
        terminal.wait_for("ended with 2")
    finally:
        terminal.close()
