# SPDX-License-Identifier: Apache-2.0
"""fairleadd as its operator meets it: command line, configuration, signals, access log."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, exchange
from lab.daemon import FAIRLEADD, Daemon
from lab.netns import HOST_IP6, Network
from lab.wait import wait_until

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).resolve().parents[2]
RULE = {"protocol": "tcp", "host": "[::]:8080", "container": "127.0.0.1:80", "name": "web"}
LIMIT_S = 20


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture
def start(network: Network, tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    made: list[Daemon] = []

    def add(**options: object) -> Daemon:
        options.setdefault("rules", [RULE])
        made.append(Daemon(tmp_path, enter=network.host.enter, **options))
        return made[-1]

    yield add
    for daemon in made:
        daemon.kill()


def run(*words: str, enter: Sequence[str] = (), **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*enter, FAIRLEADD, *words],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "FAIRLEAD_LOG": "stderr", **env},
    )


# The command line.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nonsense"], "unknown flag: --nonsense"),
        (["-x"], "unknown flag: -x"),
        (["--config"], "flag needs an argument: --config"),
        (["extra"], "it takes no arguments but flags: extra"),
    ],
)
def test_a_wrong_command_line(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr == f"fairleadd: {said}\nSee 'fairleadd --help'.\n"


def test_a_file_that_is_missing() -> None:
    for words in (["--check", "/nowhere.json"], ["--config", "/nowhere.json"]):
        done = run(*words)
        assert done.returncode == 1
        assert "/nowhere.json: no such file or directory" in done.stderr


# The configuration.


def check(tmp_path: Path, text: str) -> tuple[int, str]:
    file = tmp_path / "fairlead.json"
    file.write_text(text, encoding="utf-8")
    done = run("--check", str(file))
    return done.returncode, (done.stdout + done.stderr).replace(str(tmp_path), "").rstrip("\n")


def test_the_example_is_good() -> None:
    done = run("--check", str(ROOT / "examples/fairlead.json"))
    assert done.returncode == 0 and "good, with 25 rules" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "/fairlead.json: good, with 0 rules"),
        ('{"rules": []}', "/fairlead.json: good, with 0 rules"),
    ],
)
def test_small_files_are_good(tmp_path: Path, text: str, said: str) -> None:
    assert check(tmp_path, text) == (0, said)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "1:1", "'[' or '{' expected"),
        ("[]", 1, "expected an object, not an array"),
        ('{\n"rules": [\n}', "3:1", "unexpected token"),
        ('{"rules": [], "rules": []}', "1:21", "duplicate object key"),
        ('{\n"rule": []\n}', 2, "rule: there is no such key"),
        ('{\n"rules": {}\n}', 2, "rules: expected an array, not an object"),
        ('{\n"daemon": {\n"access_logs": "off"\n}\n}', 3, "there is no such setting"),
        ('{"daemon": {"access_log": "log"}}', 1, "'log' is none of off, journal, stdout and the"),
        ('{"daemon": {"api_socket": "x"}}', 1, "'x' is no absolute path"),
        ('{"daemon": {"status_listen": "9469"}}', 1, "'9469' is neither off nor an address"),
        ('{"daemon": {"access_log_format": "xml"}}', 1, "'xml' is neither text nor json"),
        ('{"daemon": {"drain_timeout": 10}}', 1, "drain_timeout: '10' is not a duration from 0 to 1h"),
        ('{"daemon": {"drain_timeout": null}}', 1, "expected a string, not null"),
        ('{"daemon": {"pseudo_transit": "240.0.0.0/5"}}', 1, "as many addresses as pseudo_pool, and"),
        ('{"daemon": {"pseudo_transit": "248.0.0.0/8"}}', 1, "as many addresses as pseudo_pool, and"),
        ('{"daemon": {"drop_in_path": "kernel"}}', 1, "daemon: drop_in_identity, drop_in_path: "),
        ('{"settings": {"connect_timeout": "soon"}}', 1, "soon"),
        (
            '{"settings": {"threads": 2, "threads_least": 4}}',
            1,
            "settings: threads_least=4 is more than threads=2, the most",
        ),
        ('{"settings": {"threads": 99}}', 1, "settings.threads: '99' is not"),
        ('{\n"rules": [\n{},\n{}\n]\n}', 3, 'rules[0]: a rule has "publish"'),
        (
            '{"rules": [\n{"publish": "80:80", "container": "172.17.0.2"},\n'
            '{"publish": "81:80",\n"container": "web"}]}',
            4,
            "rules[1].container: 'web' is no IP address",
        ),
        (
            '{"rules": [{"publish": "80:80", "container": "172.17.0.2"},\n'
            '{"host": "[::]:80", "container": "172.17.0.3:80"}]}',
            1,
            "published twice, for 172.17.0.2:80 and 172.17.0.3:80: keep one of them",
        ),
    ],
)
def test_files_that_are_not_good(tmp_path: Path, text: str, place: int | str, said: str) -> None:
    """The line, and the column too where it is no JSON."""
    status, answer = check(tmp_path, text)
    assert status == 1
    assert answer.startswith(f"/fairlead.json:{place}: ") and said in answer
    assert "\n" not in answer


def test_settings_come_from_the_environment_and_the_file_goes_before_it(
    network: Network, start: Callable[..., Daemon]
) -> None:
    """Whoever reads a connection's keepalive sees which: ss(8) shows its timer."""
    env = {"FAIRLEAD_KEEPALIVE": "100s"}
    for settings, seconds in ({}, 100), ({"keepalive": "50s"}, 50):
        daemon = start(settings=settings, env=env)
        with TcpBackend(network.host.net, 80), network.client.connect(HOST_IP6, 8080) as session:
            assert exchange(session, b"question") == b"question"
            sockets = network.host.run("ss", "-ntoH", "sport = :8080")
        timer = re.search(r"timer:\(keepalive,(?:(\d+)min)?(\d+)?", sockets)
        left = int(timer[1] or 0) * 60 + int(timer[2] or 0)
        assert seconds - 20 <= left <= seconds
        daemon.kill()


@pytest.mark.parametrize("variable", ["FAIRLEAD_KEEPALIVE=never"])
def test_a_wrong_environment(variable: str) -> None:
    name, _, value = variable.partition("=")
    done = run("--config", str(ROOT / "examples/fairlead.json"), **{name: value})
    assert done.returncode == 1 and f"fairleadd: {variable} is not" in done.stderr


def test_a_port_in_use_is_told(network: Network, tmp_path: Path) -> None:
    with network.host.open_socket(socket.AF_INET6, socket.SOCK_STREAM) as other:
        other.bind(("::", 8080))
        other.listen()
        with pytest.raises(AssertionError, match=r"8080.*address already in use"):
            Daemon(tmp_path, rules=[RULE], enter=network.host.enter)


def test_a_second_daemon_is_told_of_the_first(
    network: Network, start: Callable[..., Daemon]
) -> None:
    """Before it is told that the ports of the file are in use."""
    first = start()
    second = run("--config", str(first.config), enter=network.host.enter)
    assert second.returncode == 1
    assert "api.sock: another program listens there" in second.stderr
    assert first.get("/v1/health") == {"status": "healthy"}


# Signals.


def test_sigterm_lets_sessions_end(network: Network, start: Callable[..., Daemon]) -> None:
    daemon = start(daemon={"drain_timeout": "20s"})
    with TcpBackend(network.host.net, 80):
        with network.client.connect(HOST_IP6, 8080) as session:
            assert exchange(session, b"question") == b"question"
            daemon.process.send_signal(signal.SIGTERM)
            wait_until(lambda: daemon.call("GET", "/v1/health")[0] == 503, "it ends")
            assert json.loads(daemon.call("GET", "/v1/health")[1]) == {"status": "ending"}
            with pytest.raises(ConnectionRefusedError):
                network.client.connect(HOST_IP6, 8080)
            assert exchange(session, b"goes on") == b"goes on"
        assert daemon.process.wait(LIMIT_S) == 0


def test_a_second_sigterm_ends_it_at_once(network: Network, start: Callable[..., Daemon]) -> None:
    daemon = start(daemon={"drain_timeout": "1h"})
    with TcpBackend(network.host.net, 80), network.client.connect(HOST_IP6, 8080) as session:
        assert exchange(session, b"question") == b"question"
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "sessions may go on for 1h" in daemon.log.read_text(), "it ends")
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(LIMIT_S) == 0
        with pytest.raises(ConnectionResetError):
            session.recv(1)


def test_the_end_has_a_limit(network: Network, start: Callable[..., Daemon]) -> None:
    daemon = start(daemon={"drain_timeout": "200ms"})
    with TcpBackend(network.host.net, 80), network.client.connect(HOST_IP6, 8080) as session:
        assert exchange(session, b"question") == b"question"
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(LIMIT_S) == 0


def test_sighup_reloads_or_says_why_not(start: Callable[..., Daemon]) -> None:
    daemon = start()
    daemon.write_rules([RULE, {**RULE, "host": "[::]:8081"}])
    daemon.process.send_signal(signal.SIGHUP)
    done = "reloaded: 1 rules added, 0 removed, 0 changed"
    wait_until(lambda: done in daemon.log.read_text(), "it has reloaded")
    daemon.config.write_text("{", encoding="utf-8")
    daemon.process.send_signal(signal.SIGHUP)
    failed = "nothing is changed: "
    wait_until(lambda: failed in daemon.log.read_text(), "it has said why not")
    assert len(daemon.get("/v1/rules")["rules"]) == 2
    daemon.settings = {"keepalive": "1m"}
    daemon.write_rules([RULE])
    daemon.process.send_signal(signal.SIGHUP)
    restart = "0 rules added, 1 removed, 0 changed; new settings need a restart"
    wait_until(lambda: restart in daemon.log.read_text(), "it has reloaded")


# The access log.

TEXT = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z tcp (\S+) \[2001:db8::2\]:8080 "
    r"(127\.0\.0\.1:\d+) 127\.0\.0\.1:80 in=8 out=8 duration=\d+\.\d{3} end=done rule=web"
)


def visit(network: Network) -> str:
    with network.client.connect(HOST_IP6, 8080) as session:
        assert exchange(session, b"question") == b"question"
        host, port = session.getsockname()[:2]
    return f"[{host}]:{port}"


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_access_log_as_text(network: Network, start: Callable, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    daemon = start(daemon={"access_log": str(log)})
    with TcpBackend(network.host.net, 80):
        clients = [visit(network) for _ in range(3)]
    wait_until(lambda: len(lines(log)) == 3, "the lines are there")
    assert [TEXT.fullmatch(line)[1] for line in lines(log)] == clients
    # the container is down now
    with pytest.raises(ConnectionResetError):
        visit(network)
    wait_until(lambda: len(lines(log)) == 4, "the line is there")
    assert " - - in=0 out=0 " in lines(log)[3] and " end=refused " in lines(log)[3]
    assert log.stat().st_mode & 0o777 == 0o640
    assert daemon.stop() == 0


def test_access_log_as_json(network: Network, start: Callable, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    start(daemon={"access_log": str(log), "access_log_format": "json"})
    with TcpBackend(network.host.net, 80):
        client = visit(network)
    wait_until(lambda: lines(log), "the line is there")
    line = json.loads(lines(log)[0])
    expected = {"client": client, "host": "[2001:db8::2]:8080", "container": "127.0.0.1:80"}
    expected |= {"protocol": "tcp", "name": "web", "in_bytes": 8, "out_bytes": 8, "end": "done"}
    expected["path"] = "relay"
    assert expected.items() <= line.items()
    assert set(line) - set(expected) == {"time", "id", "rule", "source", "duration_s"}
    assert 0 <= line["duration_s"] < 10


def test_access_log_to_standard_output(network: Network, start: Callable) -> None:
    daemon = start(daemon={"access_log": "stdout"})
    with TcpBackend(network.host.net, 80):
        client = visit(network)
    wait_until(lambda: f" tcp {client} " in daemon.log.read_text(), "the line is there")


@pytest.mark.parametrize("how", ["signal", "reload"])
def test_access_log_is_rotated(network: Network, start: Callable, tmp_path: Path, how: str) -> None:
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    daemon = start(daemon={"access_log": str(log)})
    with TcpBackend(network.host.net, 80):
        visit(network)
        wait_until(lambda: len(lines(log)) == 1, "the line is there")
        log.rename(old)
        visit(network)
        wait_until(lambda: len(lines(old)) == 2, "it writes on")
        if how == "signal":
            daemon.process.send_signal(signal.SIGHUP)
        else:
            daemon.request("POST", "/v1/reload")
        wait_until(log.exists, "the file is opened anew")
        visit(network)
        wait_until(lambda: len(lines(log)) == 1, "the line is there")
    assert len(lines(old)) == 2


def test_lines_are_written_before_the_end(network: Network, start: Callable, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    daemon = start(daemon={"access_log": str(log)})
    with TcpBackend(network.host.net, 80):
        for _ in range(20):
            visit(network)
        assert daemon.stop() == 0
    assert len(lines(log)) == 20


@pytest.mark.parametrize("kind", ["full", "pipe"])
def test_a_log_that_takes_nothing_costs_lines_alone(
    network: Network, start: Callable, tmp_path: Path, kind: str
) -> None:
    path = "/dev/full"
    reader = -1
    if kind == "pipe":
        path = str(tmp_path / "pipe")
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        # as good as full for lines: what is left is less than one
        filler = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(filler, bytes(65536))
    daemon = start(daemon={"access_log": path})
    with TcpBackend(network.host.net, 80):
        for _ in range(10):
            visit(network)
        dropped = lambda: daemon.get("/v1/stats")["access_log_dropped"]
        wait_until(lambda: dropped() == 10, "the lines are counted", 30)
        visit(network)
    assert daemon.stop() == 0
    if kind == "pipe":
        os.close(reader)
        os.close(filler)


def test_a_log_that_cannot_be_opened(start: Callable) -> None:
    with pytest.raises(AssertionError, match="the access log /nowhere/log cannot be opened"):
        start(daemon={"access_log": "/nowhere/log"})
