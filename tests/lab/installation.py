# SPDX-License-Identifier: Apache-2.0
"""Where the lab has Docker Engines from: folders that are the root of a system with one.

Two of them: the Debian package of this machine, and that of Debian unstable, whose Docker Engine is
of a later generation. The latter is unpacked once, below build-check/.
"""

import fcntl
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNSTABLE = ROOT / "build-check/engine-unstable"
UNSTABLE_PACKAGES = "docker.io,docker-cli,iptables"
UNPACK_LIMIT_S = 180


class Unavailable(Exception):
    """An installation that cannot be had here, with the reason."""


@dataclass(frozen=True)
class Installation:
    """A folder that is the root of a system with a Docker Engine."""

    root: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


def read_version(root: Path) -> str:
    """As 20.10.24, from `Docker version 20.10.24+dfsg1, build 5d6db84`."""
    words = subprocess.run(
        ["chroot", root, "dockerd", "--version"], capture_output=True, text=True, check=True
    )
    return words.stdout.split()[2].rstrip(",").partition("+")[0]


def find_installed() -> Installation:
    if not shutil.which("dockerd"):
        raise Unavailable("no dockerd is installed here: the Debian package docker.io")
    return Installation(Path("/"), read_version(Path("/")))


def find_unstable() -> Installation:
    """Unpacks it on first use; runs side by side wait for the first of them."""
    UNSTABLE.parent.mkdir(exist_ok=True)
    with open(f"{UNSTABLE}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not UNSTABLE.exists():
            unpack_unstable()
    return Installation(UNSTABLE, read_version(UNSTABLE))


def unpack_unstable() -> None:
    """Into another folder first, so that what was broken off is never taken for the whole."""
    if not shutil.which("debootstrap"):
        raise Unavailable("no debootstrap is installed here")
    partial, log = Path(f"{UNSTABLE}.partial"), Path(f"{UNSTABLE}.log")
    shutil.rmtree(partial, ignore_errors=True)
    words = ["timeout", str(UNPACK_LIMIT_S), "debootstrap", "--variant=minbase"]
    words += [f"--include={UNSTABLE_PACKAGES}", "unstable", str(partial), find_mirror()]
    with log.open("w", encoding="utf-8") as output:
        # In a mount namespace, for what it mounts there to go away even if it is broken off.
        done = subprocess.run(
            ["unshare", "--mount", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        last = " / ".join(log.read_text(encoding="utf-8").splitlines()[-2:])
        raise Unavailable(f"Debian unstable could not be unpacked ({done.returncode}): {last}")
    shutil.rmtree(partial / "var/cache/apt", ignore_errors=True)
    partial.rename(UNSTABLE)


def find_mirror() -> str:
    """The mirror of Debian that this machine's apt uses."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Component: main"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for line in listed:
        label, _, address = line.rpartition(" ")
        if label == "Debian":
            return address
    raise Unavailable("this machine's apt has no mirror of Debian, or its lists are not fetched")
