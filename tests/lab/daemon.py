# SPDX-License-Identifier: Apache-2.0
"""fairleadd in a folder of its own, and its API."""

import http.client
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from lab.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FAIRLEAD_BUILD", ROOT / "build"))
FAIRLEADD = BUILD / "fairleadd"
LIMIT_S = 20


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("fairlead", timeout=LIMIT_S)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(str(self.path))


class ApiError(Exception):
    """An answer that is no success: the status, and the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Daemon:
    """
    Runs fairleadd with these rules and settings until stop(). `enter` is a prefix of the command,
    such as what enters a network namespace; `status_listen` then is an address in there.
    """

    def __init__(
        self,
        folder: Path,
        rules: list[dict] | None = None,
        *,
        daemon: dict | None = None,
        settings: dict | None = None,
        enter: list[str] | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.socket = folder / "api.sock"
        self.drop_in_socket = folder / "drop-in.sock"
        self.config = folder / "fairlead.json"
        self.log = folder / "log"
        self.enter = enter or []
        self.env = {**os.environ, "FAIRLEAD_LOG": "stderr", **(env or {})}
        self.daemon = {
            "api_socket": str(self.socket),
            "drop_in_socket": str(self.drop_in_socket),
            "state_file": str(folder / "rules.json"),
            "status_listen": "off",
            **(daemon or {}),
        }
        self.settings = settings or {}
        self.write_rules(rules or [])
        self.process: subprocess.Popen | None = None
        self.start()

    def write_rules(self, rules: list[dict]) -> None:
        text = {"daemon": self.daemon, "settings": self.settings, "rules": rules}
        self.config.write_text(json.dumps(text, indent=1))

    def command(self, *words: str) -> list:
        return [FAIRLEADD, "--config", self.config, *words]

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*self.enter, *self.command()],
                stdout=log,
                stderr=log,
                env=self.env,
            )
        wait_until(self._is_ready, "fairleadd to serve", LIMIT_S)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/v1/version") is not None
        except OSError:
            return False

    def call(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        connection = UnixConnection(self.socket)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def request(self, method: str, path: str, body: object = None) -> object:
        status, text = self.call(method, path, body)
        answer = json.loads(text)
        if status >= 300:
            raise ApiError(status, answer["message"])
        return answer

    def get(self, path: str) -> object:
        return self.request("GET", path)

    def stop(self, limit_s: float = LIMIT_S) -> int:
        """Ends it as systemd does; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit_s)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
