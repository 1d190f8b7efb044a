# SPDX-License-Identifier: Apache-2.0
"""The process as dockerd sees it: signals, limits, its parent, and the file on disk."""

import os
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from backends import TcpBackend, UdpBackend, echo, mirror, read_all, read_exactly
from clients import connect, echoes, udp_client
from conftest import Container, Launch, Serve, original_fails
from proxy import PATIENCE_S, STATUS_FD, Program, Proxy, environment, flags, read_to_end

NewPort = Callable[[], int]
STOPS = [signal.SIGINT, signal.SIGTERM]
PROGRAM_INTERPRETER = 3  # PT_INTERP, elf(5)
# dockerd waits for each proxy before it turns to the next, so a second is already long.
AT_ONCE_S = 3.0


@pytest.fixture
def service(container: Container) -> tuple[str, int]:
    return container(TcpBackend(echo)).address


def stop(proxy: Proxy, number: int) -> None:
    """Ends it in order and at once."""
    before = time.monotonic()
    assert proxy.stop(number) == 0
    assert time.monotonic() - before < AT_ONCE_S


@original_fails(
    "it reports success before it handles signals, so this one may kill it", untried=True
)
def test_stops_right_after_the_start(serve: Serve) -> None:
    for proto in ("tcp", "udp"):
        for number in STOPS:
            stop(serve(("127.0.0.1", 9), proto=proto), number)


@pytest.mark.parametrize("number", STOPS)
def test_stops_with_sessions_open(
    serve: Serve, service: tuple[str, int], number: int
) -> None:
    proxy = serve(service)
    clients = [connect(proxy.address) for _ in range(50)]
    for client in clients:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    stop(proxy, number)
    for client in clients:
        client.close()


@pytest.mark.parametrize("number", STOPS)
def test_stops_while_nobody_reads(
    serve: Serve, container: Container, number: int
) -> None:
    """Bytes on their way to a container that does not take them hold nothing up."""
    backend = container(TcpBackend(lambda connection: time.sleep(PATIENCE_S)))
    proxy = serve(backend.address)
    with connect(proxy.address) as client:
        client.setblocking(False)
        fill(client)
        stop(proxy, number)


def fill(client: socket.socket) -> None:
    """Sends until nothing more is taken for half a second."""
    while select.select([], [client], [], 0.5)[1]:
        client.send(bytes(1 << 20))


@pytest.mark.parametrize("number", STOPS)
def test_stops_with_udp_sessions_open(
    serve: Serve, container: Container, number: int
) -> None:
    proxy = serve(container(UdpBackend(mirror)).address, proto="udp")
    for _ in range(20):
        with udp_client("127.0.0.1") as client:
            client.sendto(b"x", proxy.address)
            client.recv(1)
    stop(proxy, number)


def test_port_is_free_at_once(serve: Serve, launch: Launch, container: Container) -> None:
    """rm and run again, while the proxy's side of connections of before is in TIME_WAIT."""
    backend = container(TcpBackend(lambda connection: connection.sendall(b"that is all")))
    first = serve(backend.address)
    with connect(first.address) as client:
        assert read_all(client) == b"that is all"
    first.stop()
    assert launch(*first.command[1:]).read_status() == b"0\n"
    with connect(first.address) as client:
        assert read_all(client) == b"that is all"


def test_stays_a_direct_child_with_its_arguments(serve: Serve, service: tuple[str, int]) -> None:
    """moby's tests find the proxies of a daemon with `ps --ppid`."""
    proxy = serve(service)
    assert echoes(proxy.address)
    assert proxy.status_field("PPid") == str(os.getpid())
    words = proxy.proc("cmdline").read_bytes().split(b"\0")[:-1]
    assert [word.decode() for word in words] == proxy.command
    assert proxy.proc("task").joinpath(str(proxy.pid), "children").read_text() == ""


def test_raises_its_descriptor_limit(serve: Serve, service: tuple[str, int]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    proxy = serve(service, limits=(256, hard))
    assert resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)[0] >= hard - 1  # as Go's runtime


def test_idle_sessions_cost_no_processor_time(serve: Serve, container: Container) -> None:
    """Of every state that a session can rest in."""
    backend = container(TcpBackend(end_or_wait))
    proxy = serve(backend.address)
    clients = {what: connect(proxy.address) for what in (b"wait", b"end", b"stuff", b"half")}
    try:
        for what, client in clients.items():
            client.sendall(what.ljust(5))
        clients[b"half"].shutdown(socket.SHUT_WR)
        clients[b"stuff"].setblocking(False)
        fill(clients[b"stuff"])
        assert clients[b"end"].recv(1) == b""
        before_s = proxy.cpu_s()
        time.sleep(1.5)
        assert proxy.cpu_s() - before_s < 0.3
    finally:
        for client in clients.values():
            client.close()


def end_or_wait(connection: socket.socket) -> None:
    """Ends its own side if it is told to, and reads no more than that."""
    if read_exactly(connection, 5) == b"end  ":
        connection.shutdown(socket.SHUT_WR)
    time.sleep(PATIENCE_S)


@original_fails("Go's runtime has a thread for each processor, and more")
def test_has_one_thread(serve: Serve, service: tuple[str, int]) -> None:
    proxy = serve(service)
    assert echoes(proxy.address)
    assert proxy.status_field("Threads") == "1"


def test_environment_and_folder_do_not_matter(
    launch: Launch, new_port: NewPort, service: tuple[str, int], program: Program, tmp_path: Path
) -> None:
    """The file works when it is copied elsewhere, alone."""
    copy = tmp_path / "proxy"
    shutil.copy(program.path, copy)
    address = ("127.0.0.1", new_port())
    proxy = launch(*flags("tcp", *address, *service), path=copy)
    assert proxy.read_status() == b"0\n"
    assert echoes(address)


@original_fails("Debian links it against the libc")
def test_is_static(program: Program) -> None:
    if program.is_sanitized:
        pytest.skip("sanitizer build: the sanitizers' libraries are shared")
    assert PROGRAM_INTERPRETER not in program_headers(program.path.read_bytes())


def program_headers(elf: bytes) -> list[int]:
    """The types of an ELF file's program headers, elf(5); of 64 bits, little-endian."""
    assert elf[:6] == b"\x7fELF\x02\x01"
    (offset,) = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    return [struct.unpack_from("<I", elf, offset + i * size)[0] for i in range(count)]


# The parent's death.

PARENT = """
"$@" &
echo $!
exec 3>&-
wait
"""


class Grandchild:
    """A proxy that a shell has started in the background, and that the shell may leave behind."""

    def __init__(self, program: Program, words: list[str], wrapper: list[str]) -> None:
        self.status, end = os.pipe()
        self.parent = subprocess.Popen(
            ["sh", "-c", PARENT, "sh", *wrapper, str(program.path), *words],
            stdout=subprocess.PIPE,
            env=environment(),
            close_fds=False,
            preexec_fn=partial(os.dup2, end, STATUS_FD),
        )
        os.close(end)
        assert self.parent.stdout
        self.pidfd = os.pidfd_open(int(self.parent.stdout.readline()))

    def ends(self, patience_s: float) -> bool:
        return bool(select.select([self.pidfd], [], [], patience_s)[0])

    def close(self) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:  # it has ended
            pass
        os.close(self.pidfd)
        os.close(self.status)
        self.parent.kill()
        self.parent.communicate()


@pytest.fixture
def start_grandchild(
    program: Program, new_port: NewPort, service: tuple[str, int]
) -> Iterator[Callable[..., Grandchild]]:
    started: list[Grandchild] = []

    def start(*wrapper: str) -> Grandchild:
        words = flags("tcp", "127.0.0.1", new_port(), *service)
        started.append(Grandchild(program, words, list(wrapper)))
        assert read_to_end(started[-1].status) == b"0\n"
        return started[-1]

    yield start
    for grandchild in started:
        grandchild.close()


StartGrandchild = Callable[..., Grandchild]


def test_ends_with_its_parent(start_grandchild: StartGrandchild) -> None:
    proxy = start_grandchild("setpriv", "--pdeathsig", "TERM")
    assert not proxy.ends(0.2)
    proxy.parent.kill()
    assert proxy.ends(PATIENCE_S)


@original_fails("it relies on the parent's own request for the signal")
def test_asks_for_the_parent_death_signal_itself(start_grandchild: StartGrandchild) -> None:
    """The request is lost where the kernel changes credentials at exec."""
    proxy = start_grandchild("setpriv", "--pdeathsig", "clear")
    assert not proxy.ends(0.2)
    proxy.parent.kill()
    assert proxy.ends(3)
