# SPDX-License-Identifier: Apache-2.0
"""`fairlead publish` in the foreground."""

import signal
import subprocess

from .daemon import BUILD, LIMIT_S
from .netns import Place

FAIRLEAD = BUILD / "fairlead"


class Publish:
    """`fairlead publish`, started and read up to the word that it is ready."""

    def __init__(self, place: Place, *words: str, prefix: list[str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*place.enter, *(prefix or []), FAIRLEAD, "publish", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.listening: list[str] = []
        try:
            while (line := self._line()) != "Press Ctrl-C to stop.":
                self.listening.append(line)
        except BaseException:
            self.kill()
            raise

    def _line(self) -> str:
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return line.rstrip("\n")

    def stop(self) -> list[str]:
        """Ends it as Ctrl-C does; the lines of its summary, spaces made one."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=LIMIT_S)
        assert (self.process.returncode, err) == (0, "")
        return [" ".join(line.split()) for line in out.strip().splitlines()]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
