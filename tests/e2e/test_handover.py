# SPDX-License-Identifier: Apache-2.0
"""Ports that fairlead-docker-proxy hands over to fairleadd: whoever serves, nobody is refused."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.daemon import Daemon
from lab.drop_in import DropIn, flags
from lab.netns import HOST_IP4, HOST_IP6, Network
from lab.wait import wait_until

pytestmark = pytest.mark.timeout(120)

CONTAINER = "127.0.0.1"
# How long a drop-in waits for the daemon's answer, and then some for a busy machine.
PATIENCE_S = 0.2


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture
def close_later() -> Iterator[Callable[[object], object]]:
    """What it is given is closed at the end of the test, the last first."""
    opened: list = []

    def add(it: object) -> object:
        opened.append(it)
        return it

    yield add
    for it in reversed(opened):
        it.close()


class Stage:
    """A host on which a daemon may run, and drop-ins do."""

    def __init__(self, network: Network, folder: Path, close_later: Callable) -> None:
        self.network = network
        self.host, self.client = network.host, network.client
        self.folder = folder
        self.close_later = close_later
        self.socket = folder / "drop-in.sock"

    def daemon(self, **options: object) -> Daemon:
        daemon = Daemon(self.folder, enter=self.host.enter, **options)
        self.close_later(_Stopping(daemon))
        return daemon

    def drop_in(self, *words: str, **options: object) -> DropIn:
        options.setdefault("handover", self.socket)
        log = self.folder / "drop-in.log"
        return self.close_later(DropIn(self.host.enter, *words, log=log, **options))

    def log(self) -> str:
        return (self.folder / "drop-in.log").read_text(encoding="utf-8")


class _Stopping:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def close(self) -> None:
        self.daemon.kill()


@pytest.fixture
def stage(network: Network, tmp_path: Path, close_later: Callable) -> Stage:
    return Stage(network, tmp_path, close_later)


def handed_over(daemon: Daemon) -> list[str]:
    rules = daemon.get("/v1/rules")["rules"]
    return [f"{it['host']}/{it['protocol']}" for it in rules if it["origin"] == "drop-in"]


def sessions_of(daemon: Daemon) -> int:
    return daemon.get("/v1/stats")["counters"]["sessions"]


def wait_until_handed_over(daemon: Daemon, *ports: str) -> None:
    wait_until(lambda: sorted(handed_over(daemon)) == sorted(ports), "the ports are handed over")


def ask(stage: Stage, address: str = HOST_IP6, port: int = 8080) -> None:
    with stage.client.connect(address, port) as session:
        assert exchange(session, b"question") == b"question"


def test_the_daemon_serves_what_is_handed_over(stage: Stage) -> None:
    daemon = stage.daemon()
    with TcpBackend(stage.host.net, 80), UdpBackend(stage.host.net, 53):
        drop_ins = [
            stage.drop_in(*flags("::", 8080, CONTAINER, 80)),
            stage.drop_in(*flags("0.0.0.0", 8080, CONTAINER, 80)),
            stage.drop_in(*flags("::", 5353, CONTAINER, 53, "udp")),
        ]
        wait_until_handed_over(daemon, "[::]:8080/tcp", "0.0.0.0:8080/tcp", "[::]:5353/udp")
        ask(stage)
        ask(stage, HOST_IP4)
        with stage.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM) as session:
            assert exchange(session, b"question") == b"question"
        assert sessions_of(daemon) == 3
        assert drop_ins[0].close() == 0
        wait_until_handed_over(daemon, "0.0.0.0:8080/tcp", "[::]:5353/udp")
        with pytest.raises(ConnectionRefusedError):
            stage.client.connect(HOST_IP6, 8080)
    assert stage.log() == ""


def test_its_end_ends_the_sessions_at_the_daemon(stage: Stage) -> None:
    """As docker-proxy's end would."""
    daemon = stage.daemon()
    with TcpBackend(stage.host.net, 80):
        drop_in = stage.drop_in(*flags("::", 8080, CONTAINER, 80))
        wait_until_handed_over(daemon, "[::]:8080/tcp")
        with stage.client.connect(HOST_IP6, 8080) as session:
            assert exchange(session, b"question") == b"question"
            drop_in.process.send_signal(signal.SIGKILL)
            with pytest.raises(ConnectionResetError):
                session.recv(1)
        wait_until_handed_over(daemon)


def test_a_port_of_the_kernels_choice_is_handed_over(stage: Stage) -> None:
    daemon = stage.daemon()
    with TcpBackend(stage.host.net, 80):
        stage.drop_in(*flags("::", 0, CONTAINER, 80))
        rule = wait_until(lambda: handed_over(daemon), "the port is handed over")[0]
        ask(stage, port=int(rule.rpartition(":")[2].removesuffix("/tcp")))
        assert sessions_of(daemon) == 1


class Hammer:
    """Clients that connect, ask and leave, one after the other, until the end of a `with`."""

    def __init__(self, stage: Stage, clients: int = 4) -> None:
        self.stage = stage
        self.ending = threading.Event()
        self.failures: list[str] = []
        self.answered: list[tuple[float, float]] = []  # when it began, and how long it took
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def _run(self) -> None:
        while not self.ending.is_set():
            began = time.monotonic()
            try:
                with self.stage.client.connect(HOST_IP6, 8080) as session:
                    if exchange(session, b"question") == b"question":
                        self.answered.append((began, time.monotonic() - began))
                    else:
                        self.failures.append("cut off")
            except OSError as error:
                self.failures.append(repr(error))

    def since(self, moment: float) -> int:
        return sum(began >= moment for began, _ in self.answered)

    def __enter__(self) -> "Hammer":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()


def test_nobody_is_refused_while_the_daemon_is_killed_and_comes_back(stage: Stage) -> None:
    """Only who is connected through the daemon when it is killed loses his connection."""
    daemon = stage.daemon()
    with TcpBackend(stage.host.net, 80):
        stage.drop_in(*flags("::", 8080, CONTAINER, 80))
        wait_until_handed_over(daemon, "[::]:8080/tcp")
        with Hammer(stage) as hammer:
            wait_until(lambda: len(hammer.answered) >= 50, "some have been answered")
            daemon.kill()
            killed = time.monotonic()
            wait_until(lambda: hammer.since(killed) >= 50, "some have been answered by the drop-in")
            daemon.start()
            wait_until_handed_over(daemon, "[::]:8080/tcp")
            back = time.monotonic()
            wait_until(lambda: hammer.since(back) >= 50, "some have been answered once it is back")
    assert sessions_of(daemon) >= 50
    assert len(hammer.failures) <= len(hammer.threads), hammer.failures
    first = min(began + took for began, took in hammer.answered if began >= killed)
    print(f"the first answer after the daemon was killed: {1000 * (first - killed):.1f} ms")
    assert not any("refused" in failure for failure in hammer.failures)


def test_nobody_loses_anything_while_the_daemon_is_restarted_in_order(stage: Stage) -> None:
    daemon = stage.daemon(daemon={"drain_timeout": "10s"})
    with TcpBackend(stage.host.net, 80):
        stage.drop_in(*flags("::", 8080, CONTAINER, 80))
        wait_until_handed_over(daemon, "[::]:8080/tcp")
        with Hammer(stage) as hammer, stage.client.connect(HOST_IP6, 8080) as lasting:
            assert exchange(lasting, b"begin") == b"begin"
            wait_until(lambda: len(hammer.answered) >= 50, "some have been answered")
            daemon.process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            wait_until(lambda: hammer.since(begun) >= 50, "some have been answered by the drop-in")
            assert exchange(lasting, b"goes on") == b"goes on"
            lasting.close()
            assert daemon.process.wait(20) == 0
            daemon.start()
            wait_until_handed_over(daemon, "[::]:8080/tcp")
    assert hammer.failures == []


def test_sessions_of_the_time_alone_stay_with_the_drop_in(stage: Stage) -> None:
    with TcpBackend(stage.host.net, 80):
        stage.drop_in(*flags("::", 8080, CONTAINER, 80))
        with stage.client.connect(HOST_IP6, 8080) as session:
            assert exchange(session, b"before") == b"before"
            daemon = stage.daemon()
            wait_until_handed_over(daemon, "[::]:8080/tcp")
            assert exchange(session, b"after") == b"after"
            assert sessions_of(daemon) == 0


class Listener:
    """In the daemon's place: it takes connections, and says what it is told to say, or nothing."""

    def __init__(self, path: Path, answer: bytes | None) -> None:
        self.answer = answer
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(str(path))
        self.socket.listen()
        self.socket.settimeout(20)
        self.taken: list[socket.socket] = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        try:
            while True:
                session = self.socket.accept()[0]
                self.taken.append(session)
                if self.answer is not None:
                    session.send(self.answer)
        except OSError:
            pass

    def close(self) -> None:
        self.socket.close()
        for session in self.taken:
            session.close()


def answer(
    accepted: int, reason: bytes = b"", version: bytes = b"\1", holds: int = 0
) -> bytes:
    """As src/api/drop_in.c writes it."""
    numbers = b"".join(it.to_bytes(4, sys.byteorder) for it in (accepted, holds))
    return b"FLanswr" + version + numbers + reason.ljust(200, b"\0")


SILENT = (None, "did not answer in time")
REFUSING = (answer(0, b"the moon is wrong"), "the moon is wrong")
MUMBLING = (b"what?", "")
STRANGE = (answer(1, version=b"\2"), "")


@pytest.mark.parametrize(
    ("said", "reason"),
    [SILENT, REFUSING, MUMBLING, STRANGE],
    ids=["silent", "refusing", "mumbling", "of another version"],
)
def test_a_daemon_that_does_not_take_it(
    stage: Stage, close_later: Callable, said: bytes | None, reason: str
) -> None:
    """The engine is told at once, and clients wait for the answer for 200 ms at the most."""
    listener = Listener(stage.socket, said)
    close_later(listener)
    with TcpBackend(stage.host.net, 80):
        began = time.monotonic()
        stage.drop_in(*flags("::", 8080, CONTAINER, 80))
        told = time.monotonic() - began
        ask(stage)
        answered = time.monotonic() - began - told
        print(f"the engine was told after {told:.3f} s, a client answered after {answered:.3f} s")
        assert len(listener.taken) == 1
        assert reason in stage.log()


def test_a_daemon_that_goes_before_it_answers(stage: Stage, close_later: Callable) -> None:
    listener = Listener(stage.socket, None)
    close_later(listener)
    with TcpBackend(stage.host.net, 80):
        stage.drop_in(*flags("::", 8080, CONTAINER, 80))
        wait_until(lambda: listener.taken, "it has connected")
        listener.taken[0].close()
        ask(stage)


def test_a_port_that_is_to_be_held_is_held_until_a_daemon_is_back(
    stage: Stage, close_later: Callable
) -> None:
    """As it will be for rules that tell the container who is calling: clients wait meanwhile."""
    listener = Listener(stage.socket, answer(1, holds=1))
    close_later(listener)
    with TcpBackend(stage.host.net, 80) as backend:
        stage.drop_in(*flags("::", 8080, CONTAINER, 80))
        wait_until(lambda: listener.taken, "it has been answered")
        # The daemon goes, and its socket with it.
        stage.socket.unlink()
        time.sleep(PATIENCE_S)
        listener.close()
        with stage.client.connect(HOST_IP6, 8080) as waiting:
            waiting.sendall(b"question")
            waiting.settimeout(1)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            assert backend.clients == []
            daemon = stage.daemon()
            waiting.settimeout(30)
            assert waiting.recv(100) == b"question"
        assert sessions_of(daemon) == 1


def test_it_can_be_switched_off(stage: Stage) -> None:
    daemon = stage.daemon()
    with TcpBackend(stage.host.net, 80):
        stage.drop_in(*flags("::", 8080, CONTAINER, 80), handover="off")
        ask(stage)
        assert handed_over(daemon) == []


@pytest.mark.parametrize("value", ["no", "run/drop-in.sock"])
def test_a_wrong_switch_is_told(stage: Stage, value: str) -> None:
    sentence = f"FAIRLEAD_HANDOVER={value} is none of on, off and the absolute path of a socket"
    with pytest.raises(AssertionError, match=sentence):
        stage.drop_in(*flags("::", 8080, CONTAINER, 80), handover=value)


def test_a_port_of_another_network_is_left_alone(stage: Stage) -> None:
    """The daemon could not reach its container, or would reach another's."""
    daemon = stage.daemon()
    with TcpBackend(stage.client.net, 80):
        log = stage.folder / "drop-in.log"
        words = flags("::", 8080, CONTAINER, 80)
        stage.close_later(DropIn(stage.client.enter, *words, handover=stage.socket, log=log))
        with stage.client.connect("::1", 8080) as session:
            assert exchange(session, b"question") == b"question"
    assert handed_over(daemon) == []
    assert "it is in another network namespace" in stage.log()


def test_a_port_that_the_daemon_has_already_stays_where_it_is(stage: Stage) -> None:
    rule = {"protocol": "tcp", "host": "127.0.0.1:8080", "container": f"{CONTAINER}:80"}
    daemon = stage.daemon(rules=[rule])
    listener = daemon.get("/v1/rules")["rules"][0]
    with TcpBackend(stage.host.net, 80):
        with pytest.raises(AssertionError, match="address already in use"):
            stage.drop_in(*flags("127.0.0.1", 8080, CONTAINER, 80))
    assert daemon.get("/v1/rules")["rules"][0]["id"] == listener["id"]


@pytest.mark.parametrize(
    "said",
    [b"", b"hello", b"FLoffer\1" + bytes(64), b"FLoffer\1" + bytes(4096)],
    ids=["empty", "short", "without a socket", "long"],
)
def test_what_is_no_offer_is_turned_away(stage: Stage, said: bytes) -> None:
    daemon = stage.daemon()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as session:
        session.settimeout(20)
        session.connect(str(stage.socket))
        session.send(said)
        assert session.recv(100) == b""
    assert daemon.get("/v1/health") == {"status": "healthy"}


def test_nobody_but_root_may_offer(stage: Stage) -> None:
    stage.daemon()
    connect = "import socket,sys; socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET).connect(sys.argv[1])"
    stage.folder.chmod(0o755)
    said = stage.host.run(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
        "sh", "-c", f'python3 -c "{connect}" "$0" 2>&1', str(stage.socket), check=False,
    )  # fmt: skip
    assert "PermissionError" in said
