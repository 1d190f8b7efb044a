# SPDX-License-Identifier: Apache-2.0
"""fairlead-docker-proxy, as the tests of this folder start it: from [::1] to 127.0.0.1."""

import fcntl
import os
import re
import resource
import select
import signal
import subprocess
from pathlib import Path

BUILD = Path(os.environ.get("FAIRLEAD_BUILD", "build")).resolve()
PROXY = BUILD / "fairlead-docker-proxy"

FRONT_PORT = 8080
BACK_PORT = 9000

KIB = 1024
MIB = 1024 * KIB


class Proxy:
    """fairlead-docker-proxy, started as dockerd starts it: with its status pipe at 3."""

    def __init__(self, threads: int, descriptors: int | None = None) -> None:
        reader, writer = os.pipe()
        held = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)  # takes 3, if that was free
        # above what subprocess opens, so that 3 can be made without closing anything it needs
        status = fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, 50)

        def prepare() -> None:
            os.dup2(status, 3)
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        words = [PROXY, "-proto", "tcp", "-host-ip", "::1", "-host-port", str(FRONT_PORT)]
        words += ["-container-ip", "127.0.0.1", "-container-port", str(BACK_PORT)]
        count = str(threads)
        env = {**os.environ, "FAIRLEAD_THREADS": count, "FAIRLEAD_THREADS_LEAST": count}
        self.process = subprocess.Popen(words, pass_fds=[3], preexec_fn=prepare, env=env)
        for fd in (writer, status, held):
            os.close(fd)
        with os.fdopen(reader, "rb") as pipe:
            ready, _, _ = select.select([pipe], [], [], 10)
            report = pipe.read() if ready else b"nothing"
        assert report == b"0\n", report
        # the thread sanitizer has one of its own
        assert len(os.listdir(f"/proc/{self.process.pid}/task")) >= threads

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        assert status == 0

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def pipes(self) -> int:
        """The ends of pipes it has open."""
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum(str(link.readlink()).startswith("pipe:") for link in links)

    def memory_bytes(self) -> int:
        """Its share of memory (PSS)."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)[1]) * KIB
