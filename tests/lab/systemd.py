# SPDX-License-Identifier: Apache-2.0
"""A real systemd: process 1 of namespaces of its own, on an overlay of this machine's root.

It starts nothing but what a test asks for, and ends with the test, whatever it has started.
"""

import os
import select
import shutil
import subprocess
import tempfile
from pathlib import Path

from .wait import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
LIMIT_S = 60

# $0 the work folder. A target of nothing is what it boots into.
BOOT = """
root=$0/root
mkdir "$root" "$0/overlay"
mount -t tmpfs tmpfs "$0/overlay"
mkdir "$0/overlay/upper" "$0/overlay/work"
mount -t overlay -o "lowerdir=/,upperdir=$0/overlay/upper,workdir=$0/overlay/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
printf '[Unit]\nDescription=nothing\n' >"$root/etc/systemd/system/nothing.target"
exec chroot "$root" env -i container=fairlead PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=nothing.target --log-target=null --show-status=no
"""


class Unavailable(Exception):
    """It does not run here, with the reason."""


class Systemd:
    def __init__(self) -> None:
        if not SYSTEMD.exists() or not shutil.which("systemctl"):
            raise Unavailable("systemd is not installed")
        self.work = Path(tempfile.mkdtemp(prefix=f"fairlead-lab-{os.getpid()}-", dir="/tmp"))
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork"]
        words += ["--kill-child", "--net", "--uts", "--ipc", "--cgroup"]
        self.keeper = subprocess.Popen(
            [*words, "bash", "-euc", BOOT, self.work],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        try:
            wait_until(self._runs, "systemd runs", 20)
        except AssertionError as reason:
            raise Unavailable(f"systemd does not run in a namespace here: {reason}") from None
        self.run("ip", "link", "set", "lo", "up")

    def _runs(self) -> bool:
        if self.keeper.poll() is not None:
            raise AssertionError(self.keeper.stderr.read().strip())
        path = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children")
        found = path.read_text(encoding="ascii").split()
        if not found:
            return False
        self.first = int(found[0])
        said = self.run("systemctl", "is-system-running", check=False).strip()
        return said in ("running", "degraded")

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.first}/root")

    def run(self, *words: str, check: bool = True) -> str:
        """What a command prints in there."""
        enter = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--net", "--uts", "--ipc"]
        done = subprocess.run(
            [*enter, "--root", "--wd", "--", "env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *words],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def install(self, source: Path, place: str, mode: int = 0o644) -> None:
        """Puts a copy of a file there."""
        target = self.root / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(mode)

    def show(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def close(self) -> None:
        handles = []
        path = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children")
        if self.keeper.poll() is None:
            handles = [os.pidfd_open(int(pid)) for pid in path.read_text("ascii").split()]
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stderr.close()
        for handle in handles:
            select.select([handle], [], [], LIMIT_S)
            os.close(handle)
        shutil.rmtree(self.work, ignore_errors=True)
