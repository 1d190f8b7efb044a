# SPDX-License-Identifier: Apache-2.0
"""Messages reach the journal or syslog, since standard error is /dev/null (moby#50563)."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends import PATIENCE_S
from conftest import Launch, Serve, close_all, fairlead_only
from proxy import Program, Proxy, flags

# Where the two are found. Each is covered by a socket of the test, in a mount namespace of the
# proxy's own; the folders are covered too, since a machine for tests may have neither.
PLACES = {"journal": "/run/systemd/journal/socket", "syslog": "/dev/log"}
COVER = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/dev
touch /run/dev/null && mount --bind /dev/null /run/dev/null
mount --rbind /run/dev /dev
touch "$1" && mount --bind "$0" "$1"
shift
exec "$@" 2>/dev/null
"""

pytestmark = fairlead_only


class Daemon(socket.socket):
    """What a journal or a syslog daemon listens on."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.bind(str(path))
        self.settimeout(PATIENCE_S)
        self.place = PLACES[name]


@pytest.fixture(params=list(PLACES))
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(request.param, tmp_path / "socket") as it:
        yield it


@pytest.fixture
def launch(program: Program, daemon: Daemon) -> Iterator[Launch]:
    """Starts the program where only that daemon is."""
    cover = ["unshare", "--mount", "sh", "-euc", COVER, daemon.getsockname(), daemon.place]
    started: list[Proxy] = []

    def start(*arguments: str, **options) -> Proxy:
        started.append(Proxy([*cover, program.path, *arguments], **options))
        return started[-1]

    yield start
    close_all(started)


def assert_message(daemon: Daemon, priority: int, sentence: str) -> None:
    message = daemon.recv(4096).decode()
    if daemon.place == PLACES["journal"]:
        fields = dict(line.split("=", 1) for line in message.splitlines())
        assert fields["PRIORITY"] == str(priority)
        assert fields["SYSLOG_IDENTIFIER"] == "fairlead-docker-proxy"
        assert sentence in fields["MESSAGE"]
    else:
        assert message.startswith(f"<{3 << 3 | priority}>fairlead-docker-proxy[")
        assert sentence in message


def test_a_refusing_container(
    serve: Serve, new_port: Callable[[], int], daemon: Daemon
) -> None:
    proxy = serve(("127.0.0.1", new_port()))
    with pytest.raises(ConnectionResetError):
        with socket.create_connection(proxy.address, PATIENCE_S) as client:
            client.recv(1)
    assert_message(daemon, 4, "the container refused the connection")
    assert proxy.errors() == ""


def test_a_port_that_cannot_be_served(launch: Launch, daemon: Daemon) -> None:
    proxy = launch(*flags("tcp", "192.0.2.1", 80, "127.0.0.1", 80))
    assert proxy.read_status().startswith(b"1\nfailed to listen on 192.0.2.1:80: ")
    assert proxy.wait() == 1
    assert_message(daemon, 3, "failed to listen on 192.0.2.1:80: ")
