# SPDX-License-Identifier: Apache-2.0
"""Starts a docker-proxy as dockerd does, and looks at it from outside.

As dockerd: descriptor 3 is the write end of a pipe that nothing else holds, descriptor 4 may be a
listening socket, the soft limit of descriptors is 1024, SIGTERM is asked for at the parent's death.
Unlike dockerd: stdout and stderr go to files, to be read by the tests.
"""

import ctypes
import os
import resource
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

STATUS_FD = 3
SILENT = -1  # no descriptor 3
LISTEN_FD = 4
SOFT_LIMIT = 1024  # what dockerd's children are started with
PATIENCE_S = 20.0  # how long something that should happen at once may take on a busy machine
PR_SET_PDEATHSIG = 1
SYS_PIDFD_GETFD = 438  # one number on all architectures

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Program:
    """
    One of those that are held to the contract. The original's generation is A (20.10 to 27.5) or B
    (since 28.0), ours is the empty one.
    """

    name: str
    path: Path
    generation: str = ""

    @property
    def is_ours(self) -> bool:
        return not self.generation

    @cached_property
    def is_sanitized(self) -> bool:
        return b"__asan_init" in self.path.read_bytes()


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"in {patience_s} s not: {what}"
        time.sleep(0.01)


def flags(proto: str, host: str, host_port: int, container: str, container_port: int) -> list[str]:
    """The command line, in the order in which dockerd gives it."""
    words = ["-proto", proto, "-host-ip", host, "-host-port", str(host_port)]
    return words + ["-container-ip", container, "-container-port", str(container_port)]


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Little of ours: what the sanitizers need, and no setting that the caller may have."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS")}
    return {**kept, **(extra or {})}


class Proxy:
    """A proxy that was started. `close` kills it and forgets what it wrote."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        status: int | None = None,
        listener: socket.socket | None = None,
        settings: dict[str, str] | None = None,
        limits: tuple[int, int] | None = None,
    ) -> None:
        """`status` is given as descriptor 3 in the place of the pipe."""
        self.command = [str(word) for word in command]
        self.address: tuple[str, int] | None = None
        self._output = tempfile.TemporaryFile()
        self._errors = tempfile.TemporaryFile()
        self._status_end, end = os.pipe() if status is None else (-1, status)
        if status is None:
            self.status_pipe = f"pipe:[{os.fstat(end).st_ino}]"
        limits = limits or (SOFT_LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        listener_fd = listener.fileno() if listener else -1

        def as_dockerd_does() -> None:
            # The parent keeps both numbers taken, so neither source is one of them.
            for source, number in ((end, STATUS_FD), (listener_fd, LISTEN_FD)):
                if source >= 0:
                    os.dup2(source, number)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
            env=environment(settings),
            close_fds=False,  # all of Python's are closed by exec; 3 and 4 must stay
            preexec_fn=as_dockerd_does,
        )
        if status is None:
            os.close(end)

    @property
    def pid(self) -> int:
        return self.process.pid

    def read_status(self, patience_s: float = PATIENCE_S) -> bytes:
        """All that comes on descriptor 3, up to its end."""
        return read_to_end(self._status_end, patience_s)

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        return self.process.wait(patience_s)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ends it as dockerd does; returns its exit status."""
        self.process.send_signal(number)
        return self.wait()

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._output.close()
        self._errors.close()
        if self._status_end >= 0:
            os.close(self._status_end)

    def output(self) -> str:
        return os.pread(self._output.fileno(), 1 << 20, 0).decode()

    def errors(self) -> str:
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode()

    # Seen from /proc.

    def proc(self, name: str) -> Path:
        return Path(f"/proc/{self.pid}/{name}")

    def status_field(self, name: str) -> str:
        for line in self.proc("status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.partition(":")[2].strip()
        raise KeyError(name)

    def cpu_s(self) -> float:
        """The processor time that it has had: fields 14 and 15, after the name, proc(5)."""
        words = self.proc("stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> dict[int, str]:
        found = {}
        for link in self.proc("fd").iterdir():
            try:
                found[int(link.name)] = os.readlink(link)
            except FileNotFoundError:  # closed meanwhile
                continue
        return found

    def sockets(self) -> list[socket.socket]:
        """Its sockets, each with a descriptor of our own (pidfd_getfd(2)), to ask for options."""
        found = []
        pidfd = os.pidfd_open(self.pid)
        try:
            for number, target in self.descriptors().items():
                fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
                if fd >= 0 and target.startswith("socket:"):
                    found.append(socket.socket(fileno=fd))
                elif fd >= 0:
                    os.close(fd)
        finally:
            os.close(pidfd)
        return found

    def sockets_to(self, address: tuple[str, int]) -> list[tuple[str, int]]:
        """The local addresses of its sockets that are connected there."""
        found = []
        for it in self.sockets():
            with it:
                if peer_of(it) == address:
                    found.append(it.getsockname()[:2])
        return found


def peer_of(it: socket.socket) -> tuple[str, int] | None:
    try:
        return it.getpeername()[:2]
    except OSError:  # a listener
        return None


def read_to_end(fd: int, patience_s: float = PATIENCE_S) -> bytes:
    end = time.monotonic() + patience_s
    data = b""
    while True:
        ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"descriptor {fd}: no end of file in {patience_s} s after {data!r}"
        part = os.read(fd, 65536)
        if not part:
            return data
        data += part
