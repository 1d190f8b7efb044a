# SPDX-License-Identifier: Apache-2.0
"""The commands of fairlead that speak to the daemon, as they are typed."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.daemon import BUILD, Daemon
from lab.netns import HOST_IP4, HOST_IP6, Network

pytestmark = pytest.mark.timeout(120)

FAIRLEAD = BUILD / "fairlead"
RULES = [
    {"publish": "8080:80", "container": "127.0.0.1", "name": "web"},
    {"publish": "[::]:5353:53/udp", "container": "127.0.0.1", "name": "dns"},
]
LIMIT_S = 20
# Those that speak to the daemon, each with a command line that is good.
COMMANDS = {
    "ls": [],
    "sessions": [],
    "clients": [],
    "disconnect": ["1"],
    "stats": [],
    "events": [],
    "reload": [],
    "health": [],
    "unpublish": ["web"],
    "publish": ["-d", "-p", "9000:90", "172.17.0.2"],
}


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
    with TcpBackend(network.host.net, 80), UdpBackend(network.host.net, 53):
        client = network.client
        opened = [client.connect(HOST_IP6, 8080), client.connect(HOST_IP4, 8080)]
        opened.append(client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM))
        for session in opened:
            assert exchange(session, b"question") == b"question"
        yield opened
        for session in opened:
            session.close()


def run(daemon: Daemon | Path, *words: str, prefix: list[str] | None = None, **env: str):
    path = daemon.socket if isinstance(daemon, Daemon) else daemon
    return subprocess.run(
        [*(prefix or []), FAIRLEAD, *words],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "FAIRLEAD_SOCKET": str(path), **env},
    )


def output(daemon: Daemon, *words: str) -> str:
    done = run(daemon, *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def cells(text: str) -> list[list[str]]:
    return [re.split(r" {3,}", line.strip()) for line in text.splitlines()]


@contextmanager
def answers(path: Path, status: int, body: object) -> Iterator[Path]:
    """A daemon that has one answer, for what a real one cannot be brought to say at will."""
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} So\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"

    def serve() -> None:
        with listener.accept()[0] as session:
            session.recv(65536)
            session.sendall(head.encode() + text)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(LIMIT_S)
        server = threading.Thread(target=serve)
        server.start()
        yield path
        server.join()


def on_terminal(daemon: Daemon | Path, columns: int, *words: str, **env: str) -> str:
    """What a command prints to a terminal of that width."""
    path = daemon.socket if isinstance(daemon, Daemon) else daemon
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [FAIRLEAD, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "FAIRLEAD_SOCKET": str(path), "TERM": "xterm", **env},
    )
    os.close(slave)
    text = b""
    try:
        while piece := os.read(master, 65536):
            text += piece
    except OSError:  # the terminal's end
        pass
    os.close(master)
    assert process.wait(LIMIT_S) == 0
    return text.decode().replace("\r\n", "\n")


# Lists.


def test_ls(daemon: Daemon, sessions: list[socket.socket]) -> None:
    rows = cells(output(daemon, "ls"))
    assert rows[0] == "ID NAME PORT CONTAINER IDENTITY ORIGIN STATE SESSIONS IN OUT PATH".split()
    used = ["1", "8B", "8B", "relay"]
    assert [row[1:] for row in rows[1:]] == [
        ["web", "0.0.0.0:8080/tcp", "127.0.0.1:80", "none", "file", "listening", *used],
        ["web", "[::]:8080/tcp", "127.0.0.1:80", "none", "file", "listening", *used],
        ["dns", "[::]:5353/udp", "127.0.0.1:53", "none", "file", "listening", *used],
    ]
    ids = output(daemon, "ls", "--quiet").split()
    assert ids == [row[0] for row in rows[1:]]
    assert [it["id"] for it in json.loads(output(daemon, "ls", "--json"))] == ids


def test_sessions(daemon: Daemon, sessions: list[socket.socket]) -> None:
    rows = cells(output(daemon, "sessions"))
    names = "ID PROTO CLIENT HOST SOURCE CONTAINER STATE AGE IN OUT IN/S OUT/S IDENTITY PATH"
    assert rows[0] == names.split()
    shown = json.loads(output(daemon, "sessions", "--json"))
    assert [row[:7] for row in rows[1:]] == [
        [
            str(it["id"]),
            it["protocol"],
            it["client"],
            it["host"],
            it["source"],
            it["container"],
            it["state"],
        ]
        for it in shown
    ]
    assert rows[1][8:10] == ["8B", "8B"]
    assert rows[1][12:] == ["none", "relay"]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--rule", "dns"], [2]),
        (["--client", "2001:db8::/32"], [0, 2]),
        (["--protocol", "tcp"], [0, 1]),
        (["--state", "half-closed"], []),
        (["--limit", "1"], [0]),
        (["-n", "2", "--protocol=tcp"], [0, 1]),
    ],
)
def test_sessions_are_filtered(
    daemon: Daemon, sessions: list[socket.socket], words: list[str], numbers: list[int]
) -> None:
    everything = json.loads(output(daemon, "sessions", "--json"))
    found = json.loads(output(daemon, "sessions", "--json", *words))
    assert [it["id"] for it in found] == [everything[i]["id"] for i in numbers]


def test_clients(daemon: Daemon, sessions: list[socket.socket]) -> None:
    rows = cells(output(daemon, "clients"))
    assert rows[0] == "CLIENT PSEUDO-IPV4 SESSIONS IN OUT IN/S OUT/S".split()
    assert sorted(row[:5] for row in rows[1:]) == [
        ["192.0.2.100", "-", "1", "8B", "8B"],
        ["2001:db8::100", "-", "2", "16B", "16B"],
    ]
    assert len(json.loads(output(daemon, "clients", "--json"))) == 2


def test_columns_fit_the_terminal(daemon: Daemon, sessions: list[socket.socket]) -> None:
    narrow = on_terminal(daemon, 80, "sessions", NO_COLOR="1")
    assert max(len(line) for line in narrow.splitlines()) <= 80
    shown = narrow.splitlines()[0].split()
    assert {"CLIENT", "CONTAINER", "IN", "OUT"} <= set(shown)
    assert not {"PATH", "IDENTITY", "SOURCE", "HOST"} & set(shown)
    wide = on_terminal(daemon, 250, "sessions", NO_COLOR="1")
    assert wide.splitlines()[0].split()[-1] == "PATH"
    assert max(len(line) for line in on_terminal(daemon, 80, "ls").splitlines()[1:]) <= 80


def test_the_longest_addresses_fit_80_columns(tmp_path: Path) -> None:
    long = "2001:db8:1234:5678:9abc:def0:1234:5678"
    session = {"id": 1, "client": f"[{long}]:50000", "host": f"[{long}]:18080", "state": "open"}
    session |= {"container": "172.17.100.200:8080", "in_bytes": 123e6, "out_bytes": 123e6}
    with answers(tmp_path / "api.sock", 200, {"sessions": [session], "next": None}) as path:
        lines = on_terminal(path, 80, "sessions", NO_COLOR="1").splitlines()
    assert [len(line) <= 80 for line in lines] == [True, True]
    assert lines[1].startswith(session["client"])


@pytest.mark.parametrize(
    ("width", "head"),
    [
        (150, "ID NAME PORT CONTAINER IDENTITY ORIGIN STATE SESSIONS IN OUT PATH"),
        (115, "ID NAME PORT CONTAINER IDENTITY SESSIONS IN OUT PATH"),
        (90, "NAME PORT CONTAINER IDENTITY SESSIONS PATH"),
        (80, "NAME PORT CONTAINER SESSIONS PATH"),
        (60, "PORT CONTAINER SESSIONS PATH"),
    ],
)
def test_columns_of_rules_go_one_by_one(tmp_path: Path, width: int, head: str) -> None:
    rule = {"id": "c170ae0380a5", "name": "web", "host": "127.0.0.1:30000", "protocol": "tcp"}
    rule |= {"container": "172.31.109.112:8081", "identity": "pseudo-ipv4", "origin": "api"}
    rule |= {"state": "listening", "carried_by": "relay", "counters": {"open": 7}}
    with answers(tmp_path / "api.sock", 200, {"rules": [rule]}) as path:
        lines = on_terminal(path, width, "ls", NO_COLOR="1").splitlines()
    assert lines[0].split() == head.split()


def test_colours_are_for_terminals_alone(daemon: Daemon) -> None:
    assert "\033[" in on_terminal(daemon, 80, "ls")
    assert "\033[" not in on_terminal(daemon, 80, "ls", NO_COLOR="1")
    assert "\033[" not in on_terminal(daemon, 80, "ls", TERM="dumb")
    assert "\033[" not in output(daemon, "ls")


# Publishing.


def test_publish_and_unpublish(daemon: Daemon) -> None:
    said = output(daemon, "publish", "-d", "-p", "9000:90", "--name", "game", "172.17.0.2")
    assert said == (
        "Listening on 0.0.0.0:9000/tcp -> 172.17.0.2:90\n"
        "Listening on [::]:9000/tcp -> 172.17.0.2:90\n"
    )
    again = run(daemon, "publish", "-d", "-p", "9000:90", "172.17.0.2")
    assert again.returncode == 1
    assert again.stderr == (
        "fairlead publish: port 0.0.0.0:9000/tcp is published already, by the API\n"
    )
    assert output(daemon, "unpublish", "[::]:9000/tcp") == "[::]:9000/tcp\n"
    assert output(daemon, "unpublish", "--drain", "5s", "9000") == "0.0.0.0:9000/tcp\n"
    output(daemon, "publish", "-d", "-p", "9000:90", "-p", "9001:91/udp", "172.17.0.2")
    assert output(daemon, "unpublish", "9001/udp") == "0.0.0.0:9001/udp\n[::]:9001/udp\n"
    rule = [it for it in json.loads(output(daemon, "ls", "--json")) if it["origin"] == "api"][0]
    assert output(daemon, "unpublish", rule["id"]) == "0.0.0.0:9000/tcp\n"


def test_unpublish_of_what_is_not_there_or_somebody_elses(daemon: Daemon) -> None:
    done = run(daemon, "unpublish", "mail")
    assert done.returncode == 1
    assert done.stderr.startswith("fairlead unpublish: there is no rule 'mail'")
    done = run(daemon, "unpublish", "dns")
    assert done.returncode == 1
    assert "is in the configuration file: change it there, and reload" in done.stderr
    assert run(daemon, "unpublish", "--drain", "soon", "dns").returncode == 2


def test_unpublish_does_not_take_a_dash_for_rules_without_a_name(daemon: Daemon) -> None:
    output(daemon, "publish", "-d", "-p", "[::]:9000:90", "172.17.0.2")
    done = run(daemon, "unpublish", "-")
    assert (done.returncode, done.stdout) == (1, "")
    assert "[::]:9000/tcp" in output(daemon, "ls")


def test_disconnect(daemon: Daemon, sessions: list[socket.socket]) -> None:
    first = json.loads(output(daemon, "sessions", "--json"))[0]["id"]
    assert output(daemon, "disconnect", str(first)) == f"{first}\n"
    with pytest.raises(ConnectionResetError):
        sessions[0].recv(1)
    done = run(daemon, "disconnect", str(first), "999")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"fairlead disconnect: there is no session {first}",
        "fairlead disconnect: there is no session 999",
    ]


# The daemon as a whole.


def test_stats(daemon: Daemon, sessions: list[socket.socket]) -> None:
    text = output(daemon, "stats")
    assert re.search(r"^Sessions: +3 open, 3 in all$", text, re.M)
    assert re.search(r"^Bytes: +24B in, 24B out$", text, re.M)
    assert json.loads(output(daemon, "stats", "--json"))["counters"]["open"] == 3


def test_health(daemon: Daemon, sessions: list[socket.socket]) -> None:
    assert output(daemon, "health") == "healthy\n"
    assert json.loads(output(daemon, "health", "--json")) == {"status": "healthy"}
    daemon.process.send_signal(signal.SIGTERM)
    done = run(daemon, "health")
    while done.returncode == 0:
        done = run(daemon, "health")
    assert (done.returncode, done.stdout) == (1, "ending\n")


def test_health_says_what_is_wrong(tmp_path: Path) -> None:
    health = {"status": "short-of-descriptors", "waiting_rules": 3}
    with answers(tmp_path / "api.sock", 503, health) as path:
        done = run(path, "health")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("short-of-descriptors: 3 rules take no new clients")


def test_disconnect_ends_none_if_one_is_wrong(
    daemon: Daemon, sessions: list[socket.socket]
) -> None:
    first = json.loads(output(daemon, "sessions", "--json"))[0]["id"]
    assert run(daemon, "disconnect", str(first), "first").returncode == 2
    assert exchange(sessions[0], b"still there") == b"still there"


def test_reload(daemon: Daemon) -> None:
    daemon.write_rules(RULES[:1])
    assert output(daemon, "reload") == "Rules: 0 added, 1 removed, 0 changed, 2 kept\n"
    daemon.settings = {"keepalive": "1m"}
    daemon.write_rules(RULES[:1])
    assert "they need a restart of fairleadd" in output(daemon, "reload")
    daemon.config.write_text('{"rules": [{"publish": "x"}]}', encoding="utf-8")
    done = run(daemon, "reload")
    assert done.returncode == 1 and "fairlead.json:1: rules[0]" in done.stderr


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_events(daemon: Daemon, as_json: bool) -> None:
    words = [FAIRLEAD, "events", "--socket", daemon.socket, *(["--json"] if as_json else [])]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        while True:  # until it listens
            output(daemon, "publish", "-d", "-p", "[::]:9000:90", "--name", "new", "172.17.0.2")
            output(daemon, "unpublish", "new")
            if select.select([process.stdout], [], [], 0.1)[0]:
                break
        line = process.stdout.readline()
    finally:
        process.kill()
        process.wait()
    if as_json:
        event = json.loads(line)
        assert (event["type"], event["rule"]["name"]) == ("rule", "new")
    else:
        about = r"id=\w{12} name=new protocol=tcp host=\[::\]:9000 "
        assert re.match(rf"\S+Z rule (add|remove) {about}", line)


def test_events_end_with_the_daemon(daemon: Daemon) -> None:
    process = subprocess.Popen(
        [FAIRLEAD, "events", "--socket", daemon.socket], stdout=subprocess.PIPE, text=True
    )
    daemon.stop()
    said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode in (0, 3)  # 3: it came too late to hear of the end


def test_events_say_when_the_daemon_dies(daemon: Daemon) -> None:
    process = subprocess.Popen(
        [FAIRLEAD, "events", "--socket", daemon.socket],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not select.select([process.stdout], [], [], 0.1)[0]:  # until it listens
        output(daemon, "publish", "-d", "-p", "[::]:9000:90", "--name", "new", "172.17.0.2")
        output(daemon, "unpublish", "new")
    daemon.kill()
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3
    assert said.endswith(f"fairleadd at {daemon.socket} has ended before its answer was complete\n")


# What goes wrong.


def test_a_socket_path_that_is_too_long() -> None:
    done = run(Path("/tmp") / ("a" * 120), "ls")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the socket's path has more than 107 characters: /tmp/aaa" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_daemon(tmp_path: Path, command: str) -> None:
    done = run(tmp_path / "none.sock", command, *COMMANDS[command])
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"fairlead {command}: fairleadd does not run: nothing listens at {tmp_path}/none.sock "
        "(systemctl start fairleadd, or name its socket with --socket)\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_without_permission(daemon: Daemon, command: str) -> None:
    for folder in [daemon.folder, *daemon.folder.parents]:
        folder.chmod(folder.stat().st_mode | 0o005)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    done = run(daemon, command, *COMMANDS[command], prefix=nobody)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"fairlead {command}: no permission for {daemon.socket}: run this as root, or as a member "
        "of the group fairlead\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--nonsense", "-x"])
def test_an_unknown_flag(daemon: Daemon, command: str, flag: str) -> None:
    done = run(daemon, command, flag)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"fairlead {command}: unknown flag: {flag}\nSee 'fairlead {command} --help'.\n"
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["ls", "all"], 2, "it takes no arguments but flags: all"),
        (["sessions", "--rule"], 2, "flag needs an argument: --rule"),
        (["sessions", "-n"], 2, "flag needs an argument: -n"),
        (["ls", "--json", "-xq"], 2, "unknown flag: -x"),
        (["ls", "--quiet=1"], 2, "flag takes no argument: --quiet=1"),
        (["unpublish"], 2, "an argument is missing: RULE [RULE...]"),
        (["disconnect"], 2, "an argument is missing: SESSION [SESSION...]"),
        (["disconnect", "first"], 2, "'first' is no number of a session"),
        (["top", "-d", "never"], 2, "'never' is no number of seconds from 0.1 to 3600"),
        (["top"], 2, "it needs a terminal; fairlead sessions does not"),
        (["sessions", "--state", "dead"], 2, "state=dead is none of connecting, open"),
        (["sessions", "--client", "here"], 2, "client=here is neither an IP address"),
        (["sessions", "--limit", "many"], 2, "limit=many is not a number"),
        (["events", "--type", "war"], 2, "type=war is none of rule, daemon"),
        (["publish", "-p", "9000:90", "--name", "x", "172.17.0.2"], 2, "and needs -d"),
        (["publish", "-p", "9000:90", "--socket", "/x", "172.17.0.2"], 2, "and needs -d"),
        (["publish", "-d", "172.17.0.2"], 2, "nothing to publish"),
        (["publish", "-d", "-p", "9000:90", "--name", "<b>", "172.17.0.2"], 2, "the name '<b>'"),
        (["publish", "-d", "-p", "9000-9009:90", "172.17.0.2"], 2, "name one"),
    ],
)
def test_wrong_arguments(daemon: Daemon, words: list[str], status: int, said: str) -> None:
    done = run(daemon, *words)
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith(f"fairlead {words[0]}: ") and said in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["ls", "stats", "sessions"])
def test_what_cannot_be_written_is_told(daemon: Daemon, command: str) -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(
            [FAIRLEAD, command, "--socket", daemon.socket],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
        )
    assert done.returncode == 1
    sentence = "standard output cannot be written: no space left on device"
    assert done.stderr == f"fairlead {command}: {sentence}\n"


def test_a_daemon_that_is_none(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other.sock"))
        other.listen()
        process = subprocess.Popen(
            [FAIRLEAD, "ls", "--socket", tmp_path / "other.sock"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        session = other.accept()[0]
        session.recv(4096)
        session.sendall(b"220 mail.example ESMTP\r\n")
        session.close()
        _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3
    assert said.startswith("fairlead ls: fairleadd cannot be asked at ")


@pytest.mark.parametrize("command", [*COMMANDS, "top"])
def test_help(command: str) -> None:
    done = subprocess.run([FAIRLEAD, command, "--help"], capture_output=True, text=True, timeout=9)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage:  fairlead {command} ")
    assert "--socket path" in done.stdout and "-h, --help" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
