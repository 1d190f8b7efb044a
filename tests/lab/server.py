# SPDX-License-Identifier: Apache-2.0
"""Servers that are not ours, started in a namespace and ended with the test."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .netns import Place
from .wait import wait_until

# Where Debian has daemons that are for root.
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def needs(*programs: str | Path) -> pytest.MarkDecorator:
    """Skips a test where one of these is not installed."""
    missing = [
        str(it)
        for it in programs
        if not shutil.which(it, path=SYSTEM_PATH) and not Path(it).exists()
    ]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@contextmanager
def serving(place: Place, words: list[str], port: int) -> Iterator[subprocess.Popen]:
    """Runs a server until the end of the block; it listens on that TCP port when the block begins."""
    process = subprocess.Popen([*place.enter, *words], stdin=subprocess.DEVNULL)

    def listens() -> bool:
        assert process.poll() is None, f"{words[0]} ended with {process.returncode}"
        return f":{port} " in place.run("ss", "-ltnH")

    try:
        wait_until(listens, f"{words[0]} to listen", 20)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
