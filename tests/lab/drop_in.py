# SPDX-License-Identifier: Apache-2.0
"""fairlead-docker-proxy without an engine, started as one starts it: with a status pipe at 3."""

import os
import subprocess
from pathlib import Path

from .engine import PROXY

LIMIT_S = 20


class DropIn:
    """One proxy, from the word that its port is served until its end."""

    def __init__(
        self,
        enter: list[str],
        *flags: str,
        handover: Path | str,
        log: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.log = log
        variables = {**os.environ, "FAIRLEAD_HANDOVER": str(handover), "FAIRLEAD_LOG": "stderr"}
        reading, writing = os.pipe()
        as_status = f"3>&{writing} {writing}>&-" if writing != 3 else ""
        with open(log or os.devnull, "a", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                ["bash", "-c", f'exec "$@" {as_status}', "bash", *enter, PROXY, *flags],
                pass_fds=[writing],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**variables, **(env or {})},
            )
        os.close(writing)
        with os.fdopen(reading) as pipe:
            status = pipe.read()
        if status != "0\n":
            self.close()
            raise AssertionError(status)

    def close(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(LIMIT_S)


def flags(host_ip: str, port: int, container_ip: str, container_port: int, proto: str = "tcp"):
    """The arguments that an engine gives it."""
    words = ["-proto", proto, "-host-ip", host_ip, "-host-port", str(port)]
    return [*words, "-container-ip", container_ip, "-container-port", str(container_port)]
